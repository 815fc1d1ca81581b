"""The same fetcher for callers without an event loop."""

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pgbearer.http.fetcher import Fetcher
from pgbearer.http.reply import Reply

__all__ = ["SyncFetcher"]


class SyncFetcher:
    """`Fetcher` on an event loop of its own, in a thread of its own.

    One implementation serves both worlds, and the limit on the whole exchange holds here too: blocking reads can only
    bound each read, so that a server which sends a byte a second would never end. Safe for many threads, and callable
    from inside a running event loop (which it blocks). The arguments are those of `Fetcher`.
    """

    def __init__(
        self,
        ca_file: Path | None = None,
        timeout: float = 5.0,
        max_bytes: int = 512 * 1024,
        *,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        self._fetcher = Fetcher(ca_file, timeout, max_bytes, certificate=certificate)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pgbearer-fetch", daemon=True)
        self._thread.start()

    def get(self, url: str) -> Reply:
        """As `Fetcher.get`."""
        return self._run(self._fetcher.get(url))

    def post_form(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Reply:
        """As `Fetcher.post_form`."""
        sent = self._fetcher.post_form(url, fields, headers)
        del fields, headers  # as there
        return self._run(sent)

    def close(self) -> None:
        """Close the connections and end the thread; a second call does nothing."""
        if self._loop.is_closed():
            return
        self._run_plain(self._fetcher.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, work: Coroutine[None, None, Reply]) -> Reply:
        """Wait for `work`; if the waiting is broken off (Ctrl-C), so is the work."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()

    def _run_plain(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()
