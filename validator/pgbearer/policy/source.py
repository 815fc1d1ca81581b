"""What must be known of a condition's text before CEL compiles it: presence tests, patterns, unverified fields.

The type checker knows our fields as variables with dots in their names (``claims.acr``), which is what lets it refuse
an unknown one. The price: ``has(claims.acr)`` would then mean the claim's value, not its presence, so it is rewritten
to a variable of type bool before compiling; every other use of ``has`` is refused. Patterns must be literals, so that
they can be tried when the file is loaded and no token ever supplies one.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

__all__ = ["PRESENCE", "ConditionError", "Source", "calls_in", "names_in", "read_source"]

PRESENCE: Final = "has_claims_"
"""``has(claims.x)`` becomes ``has_claims_x``."""

_ROOTS: Final = frozenset({"actor", "claims", "request", "token"})
"""What every name begins with."""

# The lexis of CEL: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax
_TOKEN = re.compile(
    r"(?P<skip>\s+|//[^\n]*)"
    r"|(?P<string>(?:[bB]?[rR]|[rR][bB])(?:\"\"\".*?\"\"\"|'''.*?'''|\"[^\"\n]*\"|'[^'\n]*')"
    r"|[bB]?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'))"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<other>.)",
    re.DOTALL,
)


class ConditionError(ValueError):
    """A condition that cannot be used. The message never holds a value from a token.

    Args:
        message: what is wrong.
        hint: what to do, if there is something.
        name: the unknown name, if that is what is wrong.
    """

    def __init__(self, message: str, hint: str | None = None, name: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.name = name


@dataclass(frozen=True, slots=True)
class Source:
    """A condition ready for CEL; `text` has the length of the original, so positions in messages still hold."""

    text: str
    present: tuple[str, ...]
    """Claims whose presence is asked for."""
    patterns: tuple[str, ...]
    """The literals given to ``matches()``, as written."""
    compact: str
    """The text to compile without space and comments, to look for names in."""

    @property
    def unverified(self) -> bool:
        """Whether it looks at what the client merely claims."""
        return "request.unverified." in self.compact


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


def read_source(text: str) -> Source:
    """Read a condition.

    Raises:
        ConditionError: ``has()`` of anything but a claim, or ``matches()`` with anything but one literal.
    """
    tokens = [token for token in _tokens(text) if token.kind != "skip"]
    words = [token.text for token in tokens]
    rewritten, present, patterns = text, list[str](), list[str]()
    for at, token in enumerate(tokens):
        if token.kind != "name" or words[at + 1 : at + 2] != ["("]:
            continue
        if token.text == "has":
            claim = _presence(words, at)
            end = tokens[at + 5].end
            present.append(claim)
            rewritten = rewritten[: token.start] + (PRESENCE + claim).ljust(end - token.start) + rewritten[end:]
        elif token.text == "matches":
            patterns.append(_pattern(tokens, at))
    compact = "".join(token.text for token in _tokens(rewritten) if token.kind != "skip")
    return Source(rewritten, tuple(present), tuple(patterns), compact)


def names_in(text: str) -> tuple[str, ...]:
    """The names that a condition reads, such as ``claims.acr``, each once, in the order of the text."""
    words = [(token.kind, token.text) for token in _tokens(text) if token.kind != "skip"]
    found: dict[str, None] = {}
    for at, (kind, word) in enumerate(words):
        if kind != "name" or word not in _ROOTS or words[at - 1 : at] == [("other", ".")]:
            continue
        parts, end = [word], at + 1
        while end + 1 < len(words) and words[end][1] == "." and words[end + 1][0] == "name":
            if words[end + 2 : end + 3] == [("other", "(")]:
                break  # a function of the value, not a part of the name
            parts.append(words[end + 1][1])
            end += 2
        found[".".join(parts)] = None
    return tuple(found)


def calls_in(text: str) -> tuple[tuple[str, str | None], ...]:
    """The functions that a condition calls, each with its argument as written if that is one literal, else None."""
    tokens = [token for token in _tokens(text) if token.kind != "skip"]
    found = []
    for at, token in enumerate(tokens[:-1]):
        if token.kind == "name" and tokens[at + 1].text == "(":
            alone = [one.kind for one in tokens[at + 2 : at + 4]] == ["string", "other"] and tokens[at + 3].text == ")"
            found.append((token.text, tokens[at + 2].text if alone else None))
    return tuple(found)


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        yield _Token(match.lastgroup or "other", match.group(), match.start(), match.end())


def _presence(words: Sequence[str], at: int) -> str:
    shape = words[at : at + 6]
    if len(shape) == 6 and shape[2:4] == ["claims", "."] and shape[5] == ")" and words[at - 1 : at] != ["."]:
        return shape[4]
    raise ConditionError(
        "has() asks for the presence of a claim", "write has(claims.NAME); other fields are always there"
    )


def _pattern(tokens: Sequence[_Token], at: int) -> str:
    if at + 3 < len(tokens) and tokens[at - 1].text == "." and at > 0:
        literal, close = tokens[at + 2], tokens[at + 3]
        if literal.kind == "string" and close.text == ")":
            return literal.text
    raise ConditionError("matches() takes one pattern, written out", 'write FIELD.matches("^...$")')
