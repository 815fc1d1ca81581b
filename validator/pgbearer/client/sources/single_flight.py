"""One asks for all: callers in threads, and in tasks of any event loop, who want the same thing at the same time."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Generic, TypeVar

__all__ = ["SingleFlight"]

T = TypeVar("T")


class _LeftError(Exception):
    """Who worked for all was cancelled or interrupted."""


class _Flight(Future[T]):
    """What one of them works on; `loop` is the event loop that this needs, if any."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()  # from here on nobody who waits can cancel it for the others
        self.loop = loop


class SingleFlight(Generic[T]):
    """While one caller works, others wait for the result. Nothing is kept: who comes later works again.

    An error is everybody's. Whoever is cancelled or interrupted leaves only for itself: if it was the one that worked,
    another begins anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flight: _Flight[T] | None = None

    def run(self, work: Callable[[], T]) -> T:
        """Do `work`, or wait for who does it. Raises what it raises."""
        while True:
            flight, ours = self._board(None)
            if ours:
                with self._flying(flight):
                    result = work()
                    flight.set_result(result)
                return result
            if flight.loop is not None and flight.loop is _running_loop():
                return work()  # waiting here would keep that loop from ever finishing
            try:
                return flight.result()
            except _LeftError:
                continue

    async def run_async(self, work: Callable[[], Awaitable[T]]) -> T:
        """As `run`, in a task."""
        while True:
            flight, ours = self._board(asyncio.get_running_loop())
            if ours:
                with self._flying(flight):
                    result = await work()
                    flight.set_result(result)
                return result
            try:
                return await asyncio.wrap_future(flight)
            except _LeftError:
                continue

    def _board(self, loop: asyncio.AbstractEventLoop | None) -> tuple[_Flight[T], bool]:
        with self._lock:
            if self._flight is not None:
                return self._flight, False
            self._flight = _Flight(loop)
            return self._flight, True

    @contextmanager
    def _flying(self, flight: _Flight[T]) -> Iterator[None]:
        """Who comes after this finds no flight; who waits is told how it ended."""
        try:
            yield
        except Exception as error:
            self._land()
            flight.set_exception(error)
            raise
        except BaseException:  # cancelled, or interrupted
            self._land()
            flight.set_exception(_LeftError())
            raise
        self._land()

    def _land(self) -> None:
        with self._lock:
            self._flight = None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
