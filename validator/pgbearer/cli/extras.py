"""The base install is the client: commands that need more say which extra brings it."""

from collections.abc import Iterator
from contextlib import contextmanager

from pgbearer.errors import MissingExtraError

__all__ = ["needing"]


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Import in this block what only `extra` brings.

    Raises:
        MissingExtraError: a package is not installed.
        ModuleNotFoundError: a module of our own is missing, which no extra would bring.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = error.name or ""
        if module.partition(".")[0] == "pgbearer":
            raise
        raise MissingExtraError(extra, module) from None
