"""Why a source that needs no person has no token."""

from pgbearer.errors import UnreachableError

__all__ = ["NoTokenError"]


class NoTokenError(UnreachableError):
    """There is no good token to be had now: it has ended, or whoever gives it failed. Asking later may help.

    The message never repeats what was given instead.
    """
