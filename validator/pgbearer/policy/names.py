"""Which values may become names, and what a name in PostgreSQL can hold at all."""

import fnmatch
import re
from dataclasses import dataclass

__all__ = ["MAX_NAME_BYTES", "Glob", "expressible", "is_glob", "nameable"]

MAX_NAME_BYTES = 63
"""NAMEDATALEN - 1 (src/include/pg_config_manual.h). Longer names are refused, never truncated."""

_EXPRESSIBLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,62}")


def expressible(value: str) -> bool:
    """Whether a value from a token may be put into a name: letters, digits and ``_ . @ -``, not first ``. @ -``.

    So no separator, quote, space, NUL, newline or look-alike can come from a token into a name.
    """
    return _EXPRESSIBLE.fullmatch(value) is not None


def nameable(name: str) -> bool:
    """Whether PostgreSQL can have something of this name: 1 to 63 bytes of UTF-8 without NUL."""
    return bool(name) and "\0" not in name and len(name.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES


def is_glob(pattern: str) -> bool:
    """Whether the pattern holds ``*`` or ``?``; nothing else is special."""
    return "*" in pattern or "?" in pattern


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern for names: ``*`` any text, ``?`` one character, byte for byte otherwise."""

    prefix: str
    """What every name that matches begins with: the text before the first ``*`` or ``?``."""
    _pattern: re.Pattern[str]

    @classmethod
    def of(cls, text: str) -> "Glob":
        """The pattern that `text` spells. `fnmatch.translate` makes it take bounded time, whatever the text."""
        return cls(re.split(r"[*?]", text, maxsplit=1)[0], re.compile(fnmatch.translate(text.replace("[", "[[]"))))

    def matches(self, name: str) -> bool:
        """Whether the whole name fits."""
        return self._pattern.fullmatch(name) is not None
