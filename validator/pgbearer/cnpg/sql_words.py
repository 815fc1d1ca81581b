"""SQL to its words, as PostgreSQL's lexer has them (src/backend/parser/scan.l), so that no comment or quote hides one.

What stands within quotes or dollars may be run by what is around it, as a body or by EXECUTE: a stream for itself.
"""

import re
from typing import Final

__all__ = ["name", "streams"]

_DEPTH: Final = 8
"""Quotes within quotes that are looked into."""
_STRING: Final = 64
"""Characters of a string that its word has."""
_TOKEN: Final = re.compile(
    r"""
      --[^\r\n]*
    | (?P<comment> /\* )
    | [eE]'(?P<escaped> (?:[^'\\]|\\.)*+ )(?:'|\Z)
    | '(?P<string> [^']* )(?:'|\Z)
    | (?P<quoted> "(?:[^"]|"")*+" )
    | (?P<dollars> \$(?:[^\W\d][^\W]*)?\$ )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<mark> [;,().] )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT: Final = re.compile(r"/\*|\*/")


def streams(sql: str) -> list[list[str]]:
    """The words of `sql`, and apart from them those within each of its strings and bodies.

    Words are in small letters, but for names in quotes, which keep theirs (`name`); a string is a word that begins with
    a single quote. What does not end, ends with the text.

    Raises:
        ValueError: quotes stand too deep within each other to be looked into.
    """
    found: list[list[str]] = []
    texts = [(sql, 0)]
    while texts:
        text, depth = texts.pop()
        words, inner = _words(text)
        found.append(words)
        if inner and depth == _DEPTH:
            raise ValueError(f"quotes are within quotes more than {_DEPTH} deep")
        texts += [(each, depth + 1) for each in inner if each]
    return found


def name(word: str) -> str:
    """The name that a word is, without the quotes around it."""
    return word[1:-1].replace('""', '"') if word.startswith('"') else word


def _words(text: str) -> tuple[list[str], list[str]]:
    """Those of `text`, and what stands there in quotes."""
    words: list[str] = []
    inner: list[str] = []
    place = 0
    while found := _TOKEN.search(text, place):
        place = found.end()
        kind, value = found.lastgroup, found[0]
        if kind == "comment":
            place = _end_of_comment(text, place)
        elif kind in ("string", "escaped"):
            inner.append(found[kind])
            words.append(f"'{found[kind][:_STRING].lower()}")
        elif kind == "dollars":
            end = text.find(value, place)
            inner.append(text[place:end] if end >= 0 else text[place:])
            place = end + len(value) if end >= 0 else len(text)
            words.append("'")
        elif kind == "quoted":
            words.append(value)
        elif kind is not None:
            words.append(value.lower())
    return words, inner


def _end_of_comment(text: str, place: int) -> int:
    """Where the comment ends that has begun before `place`; they may be within each other."""
    depth = 1
    while depth and (found := _COMMENT.search(text, place)):
        place = found.end()
        depth += 1 if found[0] == "/*" else -1
    return place if not depth else len(text)
