"""A proxy that runs until it is told to end: its places, its status, the service manager, and the signals."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from pgbearer.client.connection.conninfo import resolve
from pgbearer.client.local.layout import Spot
from pgbearer.client.local.log import log_to_stderr
from pgbearer.client.local.loop import run
from pgbearer.client.local.seen import SeenSource
from pgbearer.client.local.status_socket import StatusSocket
from pgbearer.client.proxy import Proxy, ProxySettings, ProxyStatus, Upstream
from pgbearer.hardening import raise_file_limit
from pgbearer.systemd import notify

__all__ = ["Serving", "run_serving", "serve"]

_ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """One upstream with all that is its own."""

    upstream: Upstream
    sources: Mapping[str, SeenSource]
    """What gives its tokens: by the name of a local user, or under ``""`` our own."""
    spot: Spot
    shared: bool = False
    """Whether other local users come in here."""

    def options(self) -> dict[str, str]:
        """The upstream's connection options as libpq resolves them; raises what `resolve` raises."""
        return resolve(self.upstream.conninfo, {})


def run_serving(servings: Sequence[Serving], settings: ProxySettings, ready: Callable[[ProxyStatus], None]) -> None:
    """`serve` in an event loop of its own, with a log on standard error. Blocks; raises what `serve` does."""
    log_to_stderr()
    raise_file_limit()
    run(serve(servings, settings, ready))


async def serve(servings: Sequence[Serving], settings: ProxySettings, ready: Callable[[ProxyStatus], None]) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; then drain, and at a second one end what is left.

    Args:
        servings: upstreams, whose folders are there.
        settings: bounds.
        ready: called once clients can come.

    Raises:
        UsageError: an upstream or a place is not usable; nothing is left open.
        UnsafeServerError: an upstream insists on a channel that a token may not go through.
    """
    told = asyncio.Event(), asyncio.Event()
    wanted = [(serving.upstream, serving.spot.places) for serving in servings]
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(wanted, settings))
        for index, serving in enumerate(servings):
            answer = _Answer(proxy, index, serving)
            await stack.enter_async_context(StatusSocket(serving.spot.folder, answer, shared=serving.shared))
        with _hearing(told):
            ready(proxy.status())
            notify("READY=1")
            await told[0].wait()
            notify("STOPPING=1")
            await _drain(proxy, settings.drain_seconds, told[1])


async def _drain(proxy: Proxy, seconds: float, again: asyncio.Event) -> None:
    there = sum(upstream.connections for upstream in proxy.status().upstreams)
    _log.info("ending: %d connections have %.0f s to finish; a second signal ends them", there, seconds)
    draining = asyncio.create_task(proxy.drain())
    second = asyncio.create_task(again.wait())
    await asyncio.wait({draining, second}, return_when=asyncio.FIRST_COMPLETED)
    second.cancel()
    if not draining.done():
        await proxy.drain(0)
    await draining


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the status socket of one upstream says."""

    proxy: Proxy
    index: int
    serving: Serving

    def __call__(self) -> Mapping[str, Any]:
        status = self.proxy.status()
        identities = [
            {"local_user": user or None, **asdict(source.last)}
            for user, source in self.serving.sources.items()
            if source.last is not None
        ]
        proxy = {"pid": os.getpid(), "started_at": status.started_at, "draining": status.draining}
        return {**asdict(status.upstreams[self.index]), **proxy, "identities": identities}


@contextmanager
def _hearing(told: Sequence[asyncio.Event]) -> Iterator[None]:
    """Set the events one after the other as signals come; what is ignored (nohup) stays ignored."""
    loop = asyncio.get_running_loop()
    numbers = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]

    def heard() -> None:
        next((event for event in told if not event.is_set()), told[-1]).set()

    for number in numbers:
        loop.add_signal_handler(number, heard)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
