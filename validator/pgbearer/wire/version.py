"""Which protocol versions are spoken: this release's and the one before."""

from typing import Final

__all__ = ["OLDEST_VERSION", "VERSION", "is_supported"]

VERSION: Final = 1
"""The version that this release speaks and answers in."""

OLDEST_VERSION: Final = max(1, VERSION - 1)
"""The oldest version still understood: a module may be one release behind or ahead of its service."""


def is_supported(version: int) -> bool:
    """True if requests of `version` are decoded and answered."""
    return OLDEST_VERSION <= version <= VERSION
