"""The text of pg_hba.conf to fields of words (tokenize_auth_file and next_token of src/backend/libpq/hba.c)."""

from collections.abc import Iterator

from pgbearer.hba.line import Field, Token

__all__ = ["fields", "logical_lines"]

_BLANK = " \t\r"  # pg_isblank


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Each line with its number, from 1; one that ends in a backslash goes on in the next, without a blank between."""
    number, kept, begins = 0, "", 1
    for line in text.split("\n"):
        number += 1
        whole = kept + line.rstrip("\r")
        if line.rstrip("\r").endswith("\\"):
            kept = whole[:-1]
            continue
        yield begins, whole
        kept, begins = "", number + 1
    if kept:
        yield begins, kept


def fields(line: str) -> list[Field]:
    """The fields of a line, each with at least one word; none for a blank line or a comment."""
    found: list[Field] = []
    place = 0
    while place < len(line):
        words: list[Token] = []
        more = True
        while more:
            token, place, more = _next(line, place)
            if token is None:
                break
            words.append(token)
        if words:
            found.append(tuple(words))
    return found


def _next(line: str, place: int) -> tuple[Token | None, int, bool]:
    """The word from `place` on, where it ends, and whether a comma ended it: then the field goes on."""
    while place < len(line) and line[place] in _BLANK + ",":
        place += 1
    letters: list[str] = []
    quoted = in_quote = was_quote = saw_quote = False
    while place < len(line) and (in_quote or line[place] not in _BLANK):
        letter = line[place]
        if letter == "#" and not in_quote:
            place = len(line)
            break
        if letter == "," and not in_quote:
            return Token("".join(letters), quoted), place + 1, True
        if letter != '"' or was_quote:
            letters.append(letter)
        was_quote = in_quote and letter == '"' and not was_quote  # two quotes within quotes are one
        if letter == '"':
            in_quote = not in_quote
            saw_quote = True
            quoted = quoted or not letters
        place += 1
    return (Token("".join(letters), quoted) if saw_quote or letters else None), place, False
