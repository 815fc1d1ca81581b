"""A proxy in the test's own event loop, in front of whatever server a test has."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg

from pgbearer.client import StaticSource
from pgbearer.client.proxy import Listen, Proxy, ProxySettings, Upstream
from pgbearer.client.sources import TokenSource
from tests.parts.processes import wait_until

__all__ = ["ISSUER", "SECRET", "Proxied", "proxied"]

ISSUER = "https://issuer.test"
SECRET = "eyJzZWNyZXQ.c2VjcmV0LXRva2Vu.c2lnbmF0dXJl"


class Proxied:
    """A running proxy with one upstream and one Unix socket, and how to come in there."""

    def __init__(self, proxy: Proxy, folder: Path) -> None:
        self.proxy = proxy
        self.folder = folder

    @property
    def socket(self) -> Path:
        return self.folder / ".s.PGSQL.5432"

    async def none_connecting(self) -> None:
        """Return once no client waits for its login any more."""
        waiting = self.proxy.status
        await asyncio.to_thread(wait_until, lambda: not waiting().upstreams[0].connecting, 20, "all to be served")

    async def connect(self, **conninfo: Any) -> psycopg.AsyncConnection[Any]:
        """A connection through it, as anybody's; raises psycopg.OperationalError."""
        where: dict[str, Any] = {"host": str(self.folder), "user": "app", "dbname": "appdb", "autocommit": True}
        return await psycopg.AsyncConnection.connect(**{**where, **conninfo})


@contextlib.asynccontextmanager
async def proxied(
    folder: Path,
    conninfo: str,
    source: TokenSource | None = None,
    settings: ProxySettings | None = None,
    **upstream: Any,
) -> AsyncIterator[Proxied]:
    """Start one; at the end every client is gone, and so is its socket."""
    what = Upstream("db", conninfo, source or StaticSource(SECRET), **{"issuer": ISSUER, **upstream})
    place = folder / "proxy"
    async with Proxy([(what, [Listen(place)])], settings or ProxySettings(drain_seconds=0)) as proxy:
        yield Proxied(proxy, place)
    assert not (place / ".s.PGSQL.5432").exists()
    assert SECRET not in repr(proxy.status())
