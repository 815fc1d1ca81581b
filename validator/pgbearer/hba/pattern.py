"""Regular expressions in pg_hba.conf, as far as PostgreSQL's engine and Python's take them alike."""

import re
from typing import Final

__all__ = ["fits", "is_pattern"]

_ATOM: Final = r"(?:[A-Za-z0-9_-]|\.|\[\^?(?:[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9]|[A-Za-z0-9_])+\])"
_ALIKE: Final = re.compile(rf"(\^?)((?:{_ATOM}[*+?]?)*)(\$?)")
"""Anchors at the ends, characters that mean themselves, any one, one of some, and how often: once, not nested."""
_QUANTIFIER: Final = re.compile(r"[*+?]")
_MOST: Final = 4
"""How often something may be repeated, so that none takes long."""


def is_pattern(text: str) -> bool:
    """Whether PostgreSQL takes a database or a role for one, in quotes too (regcomp_auth_token of hba.c)."""
    return text.startswith("/")


def fits(text: str, name: str) -> bool | None:
    """Whether a pattern fits a name; None if only PostgreSQL can say. Pure.

    It looks for the expression anywhere in the name (pg_regexec in regexec_auth_token of src/backend/libpq/hba.c), to
    which ``.`` is any character and ``$`` the very end (section 9.7.3 of PostgreSQL's manual).
    """
    alike = _ALIKE.fullmatch(text.removeprefix("/"))
    if alike is None or len(_QUANTIFIER.findall(text)) > _MOST:
        return None
    begin, middle, end = alike.groups()
    try:
        return re.search(begin + middle + (r"\Z" if end else ""), name, re.DOTALL) is not None
    except re.error:
        return None  # a range that ends before it begins, which PostgreSQL refuses too
