"""Until when a token is used, and what one caller's renewal means for the others. No time passes here."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from pgbearer.client import AccessToken
from pgbearer.client.sources.kept import Kept
from pgbearer.client.sources.renewed import Renewed
from pgbearer.client.sources.single_flight import SingleFlight
from pgbearer.errors import PgbearerError, UnreachableError, UsageError

START = 1_000_000.0


def kept(life: float = 300, chance: float = 0.0) -> Kept:
    found = Kept.of(AccessToken("a", expires_at=START + life), START, chance)
    assert found is not None
    return found


@pytest.mark.parametrize(("chance", "due"), [(0.0, 210), (0.5, 232.5), (1.0, 255)])
def test_another_is_due_at_a_time_of_chance_before_the_end(chance: float, due: float) -> None:
    one = kept(300, chance)
    assert one.due == START + due
    assert one.young(START + due - 0.1)
    assert not one.young(START + due)
    assert one.still_good(START + 299)
    assert not one.still_good(START + 300)


def test_a_token_whose_end_nobody_knows_is_not_kept() -> None:
    assert Kept.of(AccessToken("a"), START, 0.5) is None


def test_a_machine_that_slept_has_aged_its_tokens() -> None:
    assert not kept().young(START + 86_400)
    assert not kept().still_good(START + 86_400)


def test_a_clock_that_was_set_back_makes_it_old() -> None:
    assert not kept().young(START - 1)


def test_the_pauses_between_attempts_grow_to_a_minute() -> None:
    one, now, pauses = kept(10_000), START + 9_000, []
    for _ in range(20):
        one = one.after_failure(now)
        pauses.append(one.due - now)
        now = one.due
    assert pauses[:6] == [5, 10, 20, 40, 60, 60]
    assert set(pauses[4:]) == {60}


@dataclass
class World:
    """An issuer and a clock: `fails` is raised while it is set."""

    now: float = START
    life: float | None = 300
    fails: PgbearerError | None = None
    given: list[str] = field(default_factory=list)
    renewed: Renewed = field(init=False)

    def __post_init__(self) -> None:
        self.renewed = Renewed(lambda: self.now, lambda: 0.0)

    def fetch(self) -> AccessToken:
        if self.fails is not None:
            raise self.fails
        self.given.append(f"token-{len(self.given)}")
        return AccessToken(self.given[-1], expires_at=None if self.life is None else self.now + self.life)

    async def fetch_async(self) -> AccessToken:
        return self.fetch()

    def token(self) -> str:
        return self.renewed.token(self.fetch).reveal()


def test_it_is_used_until_the_next_is_due() -> None:
    world = World()
    assert [world.token(), world.token()] == ["token-0", "token-0"]
    world.now += 209
    assert world.token() == "token-0"
    world.now += 1
    assert [world.token(), world.token()] == ["token-1", "token-1"]


async def test_the_asynchronous_shell_does_the_same() -> None:
    world = World()
    for later, expected in ((0, "token-0"), (209, "token-0"), (1, "token-1"), (300, "token-2")):
        world.now += later
        assert (await world.renewed.token_async(world.fetch_async)).reveal() == expected


def test_without_a_known_end_each_use_asks() -> None:
    world = World(life=None)
    assert [world.token(), world.token()] == ["token-0", "token-1"]


@pytest.mark.parametrize("in_tasks", [False, True])
async def test_an_issuer_that_does_not_answer_is_no_fault_until_the_token_ends(in_tasks: bool) -> None:
    world = World()

    async def token() -> str:
        if in_tasks:
            return (await world.renewed.token_async(world.fetch_async)).reveal()
        return world.token()

    await token()
    world.fails = UnreachableError("no answer")
    for later in (210, 5, 10, 20, 40, 14):
        world.now += later
        assert await token() == "token-0"
    world.now = START + 300
    with pytest.raises(UnreachableError, match="no answer"):
        await token()
    world.fails = None
    assert await token() == "token-1"


def test_an_issuer_that_does_not_answer_is_not_asked_at_each_use() -> None:
    world = World()
    world.token()
    world.now, world.fails = START + 210, UnreachableError("no answer")
    world.token()
    world.fails = None  # it would answer now, but is left alone for 5 s
    assert world.token() == "token-0"
    world.now += 5
    assert world.token() == "token-1"


@pytest.mark.parametrize("refusal", [PgbearerError("refused"), UsageError("no such file")])
def test_a_refusal_counts_at_once_and_the_old_token_is_forgotten(refusal: PgbearerError) -> None:
    world = World()
    world.token()
    world.now, world.fails = START + 210, refusal
    for _ in range(2):
        with pytest.raises(type(refusal), match=refusal.what):
            world.token()
    assert "token-0" not in repr(world.renewed)


# one asks for all


def test_threads_share_one_result() -> None:
    flight: SingleFlight[int] = SingleFlight()
    started, calls, enough = threading.Barrier(8), [], threading.Event()

    def work() -> int:
        calls.append(1)
        enough.wait(10)
        return len(calls)

    def call(_: int) -> int:
        started.wait(10)
        return flight.run(work)

    with ThreadPoolExecutor(8) as pool:
        results = pool.map(call, range(8))
        enough.set()
        assert set(results) == set(range(1, len(calls) + 1))
    assert flight.run(lambda: 42) == 42


async def test_tasks_and_a_thread_share_one_result() -> None:
    flight: SingleFlight[str] = SingleFlight()
    may_end, began = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        began.set()
        await may_end.wait()
        return "once"

    async def never() -> str:
        raise AssertionError("another works already")

    first = asyncio.create_task(flight.run_async(work))
    await began.wait()
    others = [asyncio.create_task(flight.run_async(never)) for _ in range(5)]
    thread = asyncio.create_task(asyncio.to_thread(flight.run, lambda: "a thread of its own"))
    await asyncio.sleep(0)
    others[0].cancel()
    may_end.set()
    assert await first == "once"
    assert {await other for other in others[1:]} == {"once"}
    assert await thread in {"once", "a thread of its own"}
    with pytest.raises(asyncio.CancelledError):
        await others[0]


async def test_who_works_may_be_cancelled_and_another_takes_over() -> None:
    flight: SingleFlight[str] = SingleFlight()
    began = asyncio.Event()

    async def hang() -> str:
        began.set()
        await asyncio.Event().wait()
        return "never"

    async def work() -> str:
        return "taken over"

    first = asyncio.create_task(flight.run_async(hang))
    await began.wait()
    others = [asyncio.create_task(flight.run_async(work)) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    assert [await other for other in others] == ["taken over"] * 3
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_an_error_is_everybodys_and_the_next_begins_anew() -> None:
    flight: SingleFlight[str] = SingleFlight()
    began, may_end = asyncio.Event(), asyncio.Event()

    async def fail() -> str:
        began.set()
        await may_end.wait()
        raise UnreachableError("no answer")

    async def work() -> str:
        return "anew"

    tasks = [asyncio.create_task(flight.run_async(fail)) for _ in range(3)]
    await began.wait()
    await asyncio.sleep(0)
    may_end.set()
    assert all(isinstance(one, UnreachableError) for one in await asyncio.gather(*tasks, return_exceptions=True))
    assert await flight.run_async(work) == "anew"


async def test_a_blocking_call_does_not_wait_for_the_loop_that_it_blocks() -> None:
    flight: SingleFlight[str] = SingleFlight()
    began, may_end = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        began.set()
        await may_end.wait()
        return "of the loop"

    task = asyncio.create_task(flight.run_async(work))
    await began.wait()
    assert flight.run(lambda: "of its own") == "of its own"
    may_end.set()
    assert await task == "of the loop"
