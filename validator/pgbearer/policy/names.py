"""Which values may become names, and what a name in PostgreSQL can hold at all."""

import fnmatch
import re

__all__ = ["MAX_NAME_BYTES", "expressible", "glob", "is_glob", "nameable"]

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


def glob(pattern: str) -> re.Pattern[str]:
    """The pattern to `fullmatch` a name with: ``*`` any text, ``?`` one character, byte for byte otherwise.

    `fnmatch.translate` uses atomic groups, so the time is bounded whatever the pattern.
    """
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")))
