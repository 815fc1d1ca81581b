"""A proxy in a process of its own, for what has to be measured or killed alone: ``python -m tests.proxy_process``.

On stdin comes one line of JSON: ``conninfo``, ``issuer``, ``folder``, and a ``token`` or, for a person's login, the
folder of its ``store``, the ``scope`` it was asked with and the issuer's ``ca_file``. Once it serves, it says so in a
line, and at the end of stdin it drains and ends. It never asks anybody.
"""

import asyncio
import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from pgbearer.client import StaticSource
from pgbearer.client.proxy import Listen, Proxy, ProxySettings, Upstream
from pgbearer.client.sources import PersonSource, TokenSource
from pgbearer.client.store import open_store

__all__ = ["serve"]


async def serve(line: str) -> None:
    """Serve as `line` says until stdin ends."""
    told = json.loads(line)
    upstream = Upstream("db", told["conninfo"], _source(told), told["issuer"])
    async with Proxy([(upstream, [Listen(Path(told["folder"]))])], ProxySettings(drain_seconds=0)):
        sys.stdout.write("serving\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def _source(told: dict[str, str]) -> TokenSource:
    if "token" in told:
        return StaticSource(told["token"])
    store = open_store("file", folder=Path(told["store"]))
    return PersonSource(told["issuer"], scope=told["scope"], how="never", store=store, ca_file=Path(told["ca_file"]))


def _run(main: Coroutine[Any, Any, None]) -> None:
    if "--uvloop" in sys.argv:
        import uvloop

        uvloop.run(main)
    else:
        asyncio.run(main)


if __name__ == "__main__":
    _run(serve(sys.stdin.readline()))
