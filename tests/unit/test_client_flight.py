"""One piece of work for all who wait, in threads and tasks; interrupted only when nobody waits any more."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pgbearer.client.sources.flight import Flights
from pgbearer.errors import PgbearerError


class Work:
    """Counts its beginnings, and ends when it is told to."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.times = 0
        self.cancelled = threading.Event()

    async def __call__(self) -> int:
        self.times += 1
        self.began.release()
        try:
            await asyncio.to_thread(self.go_on.wait, 60)
        except asyncio.CancelledError:
            self.cancelled.set()
            self.go_on.set()
            raise
        return self.times


def boarded(flights: Flights[int], many: int) -> None:
    """Return as soon as so many wait."""
    while flights._under_way is None or flights._under_way.waiting < many:
        pass


def test_threads_share_one_flight() -> None:
    work = Work()
    flights = Flights(work)
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(flights.wait) for _ in range(20)]
        assert work.began.acquire(timeout=60)
        boarded(flights, 20)
        work.go_on.set()
        assert {future.result() for future in waiting} == {1}
    assert flights.wait() == 2


async def test_tasks_and_a_thread_share_one_flight() -> None:
    work = Work()
    flights = Flights(work)
    waiting = [asyncio.create_task(flights.wait_async()) for _ in range(20)]
    thread = asyncio.create_task(asyncio.to_thread(flights.wait))
    await asyncio.to_thread(boarded, flights, 21)
    work.go_on.set()
    assert set(await asyncio.gather(*waiting, thread)) == {1}


async def test_who_is_impatient_leaves_and_the_work_goes_on() -> None:
    work = Work()
    flights = Flights(work)
    assert flights.wait(0.001) is None
    assert await flights.wait_async(0.001) is None
    work.go_on.set()
    assert await flights.wait_async() == 1
    assert not work.cancelled.is_set()


async def test_the_last_who_is_cancelled_takes_the_work_along() -> None:
    work = Work()
    flights = Flights(work)
    first, second = (asyncio.create_task(flights.wait_async()) for _ in range(2))
    await asyncio.to_thread(boarded, flights, 2)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert not work.cancelled.is_set()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert await asyncio.to_thread(work.cancelled.wait, 60)
    work.go_on.set()
    assert await flights.wait_async() == 2  # whoever comes next gets work of their own


def test_an_interrupt_takes_the_work_along() -> None:
    work = Work()
    flights = Flights(work)
    assert flights.wait(0.001) is None
    assert work.began.acquire(timeout=60)
    with pytest.raises(KeyboardInterrupt), flights._boarded():
        raise KeyboardInterrupt
    assert work.cancelled.wait(60)


def test_an_error_reaches_everybody_and_is_not_kept() -> None:
    errors = [PgbearerError("no")]

    async def work() -> int:
        if errors:
            raise errors.pop()
        return 7

    flights = Flights(work)
    with pytest.raises(PgbearerError, match="no"):
        flights.wait()
    assert flights.wait() == 7


def test_after_a_fork_nobody_waits_for_the_parents_thread() -> None:
    work = Work()
    flights = Flights(work)
    assert flights.wait(0.001) is None
    parents = flights._under_way
    assert parents is not None
    parents.process -= 1
    assert work.began.acquire(timeout=60)
    work.go_on.set()
    assert flights.wait() == 2
    assert parents.future.result(60) in {1, 2}


def test_an_event_loop_that_is_gone_is_not_called() -> None:
    work = Work()
    flights = Flights(work)
    assert asyncio.run(flights.wait_async(0.001)) is None
    work.go_on.set()
    assert flights.wait() == 1


def test_what_the_work_left_midway_is_closed_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """A stream of which only the first message counts, as of the Workload API."""
    closed = threading.Event()

    async def stream() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            for _ in range(100):
                await asyncio.sleep(0)
            closed.set()

    async def work() -> int:
        async for first in stream():
            return first
        return 0

    flights = Flights(work)
    assert flights.wait() == 1
    for thread in threading.enumerate():
        if thread.name == "pgbearer-login":
            thread.join(60)
    gc.collect()
    assert closed.is_set()
    assert caplog.text == ""
