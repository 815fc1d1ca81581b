"""OAuth logins for PostgreSQL: the service that decides, and the client that logs in.

`connect` and `connect_async`, and the classes that they belong to, are here for applications; they are loaded on first
use, so that ``import pgbearer`` alone stays light.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgbearer.client import AsyncConnection, Connection, connect, connect_async

__all__ = ["AsyncConnection", "Connection", "connect", "connect_async"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from pgbearer import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
