"""One piece of work for all who need its result, threads and tasks alike."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar, overload

__all__ = ["Flights"]

T = TypeVar("T")

_CLEAR_UP_SECONDS: Final = 5.0


class Flights(Generic[T]):
    """Does a piece of work at most once at a time: who comes while it is under way waits for the same result.

    The work runs on an event loop of its own, in a thread that the interpreter waits for at its end, so that what has
    begun (a renewal whose result is not kept yet) is not cut off. When the last who waits is interrupted or cancelled,
    the work is cancelled. Safe in threads, in the tasks of any event loops, and after a fork.

    Args:
        work: makes the coroutine.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._under_way: _Flight[T] | None = None

    @overload
    def wait(self) -> T: ...

    @overload
    def wait(self, patience: float) -> T | None: ...

    def wait(self, patience: float | None = None) -> T | None:
        """The result, or None after `patience` seconds without one: then the work goes on. Raises what it raises."""
        with self._boarded() as flight:
            landed = threading.Event()
            flight.future.add_done_callback(lambda _: landed.set())
            return flight.future.result() if landed.wait(patience) else None

    @overload
    async def wait_async(self) -> T: ...

    @overload
    async def wait_async(self, patience: float) -> T | None: ...

    async def wait_async(self, patience: float | None = None) -> T | None:
        """As `wait`, without blocking the event loop."""
        with self._boarded() as flight:
            loop, landed = asyncio.get_running_loop(), asyncio.Event()

            def tell(_: Future[T]) -> None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: whoever waited is gone
                    loop.call_soon_threadsafe(landed.set)

            flight.future.add_done_callback(tell)
            try:
                async with asyncio.timeout(patience):
                    await landed.wait()
            except TimeoutError:
                return None
            return flight.future.result()

    @contextmanager
    def _boarded(self) -> Iterator["_Flight[T]"]:
        with self._lock:
            flight = self._under_way
            if flight is None or flight.future.done() or flight.process != os.getpid():
                flight = self._under_way = _Flight(self._work)
            flight.waiting += 1
        stayed = False
        try:
            yield flight
            stayed = True
        finally:
            with self._lock:
                flight.waiting -= 1
                if not stayed and flight.waiting == 0:
                    flight.future.cancel()


class _Flight(Generic[T]):
    """The work under way, and how many wait for it."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self.waiting = 0
        self.process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self.future = asyncio.run_coroutine_threadsafe(self._to_the_end(work), self._loop)
        threading.Thread(target=self._run, name="pgbearer-login").start()

    async def _to_the_end(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return await work()
        finally:
            self._loop.call_soon(self._loop.stop)  # not when the future is done: one that is cancelled is that at once

    def _run(self) -> None:
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._clear_up())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()

    async def _clear_up(self) -> None:
        """Have generators that were left midway closed: the loop makes tasks of that, which it does not wait for."""
        await self._loop.shutdown_asyncgens()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=_CLEAR_UP_SECONDS)
