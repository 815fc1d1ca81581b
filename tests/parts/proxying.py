"""A proxy that serves in a thread of its own, for tests that are no coroutines and for programs."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from pgbearer.client.proxy import Listen, ListenTcp, Proxy, ProxySettings, Upstream, UpstreamStatus

__all__ = ["RunningProxy"]

_SECONDS = 60.0


class RunningProxy:
    """A proxy with one upstream, from `start` to `stop`.

    Args:
        upstream: where it connects to.
        places: where its clients come in.
        settings: its bounds; the defaults if None.
    """

    def __init__(
        self, upstream: Upstream, places: Sequence[Listen | ListenTcp], settings: ProxySettings | None = None
    ) -> None:
        self._proxy = Proxy([(upstream, places)], settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def start(self) -> None:
        """Serve; raises what `Proxy` raises."""
        self._thread.start()
        self._do(self._proxy.__aenter__())

    def stop(self) -> None:
        """End what is still connected, and stop."""
        try:
            self._do(self._proxy.drain(0))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_SECONDS)
            self._loop.close()

    def status(self) -> UpstreamStatus:
        """How the upstream is."""

        async def ask() -> UpstreamStatus:
            return self._proxy.status().upstreams[0]

        status: UpstreamStatus = self._do(ask())
        return status

    def _do(self, work: Any) -> Any:
        done: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(_SECONDS)
