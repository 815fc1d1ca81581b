"""What lies around a decider: its turns, its limit of time, its breaker; whatever it does, advice comes back."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from pgbearer.deciders import (
    DeciderFault,
    DeciderMisconfigured,
    No,
    Opinion,
    Panel,
    Question,
    QuestionUnaskable,
    Seat,
    Yes,
)
from pgbearer.deciders.breaker import Breaker
from pgbearer.deciders.memory import Memory
from tests.unit.logins import NOW, request, verified

SECRET = "eyJhbGciOiJub25lIn0"


class Fake:
    """Answers as it is told to."""

    def __init__(self, answer: Callable[[Question], Awaitable[Opinion]], *, needs_token: bool = False) -> None:
        self.needs_token = needs_token
        self.questions: list[Question] = []
        self.came = asyncio.Semaphore(0)
        """Goes up with every question."""
        self._answer = answer

    async def ask(self, question: Question) -> Opinion:
        self.questions.append(question)
        self.came.release()
        return await self._answer(question)


def says(what: Opinion | Exception) -> Callable[[Question], Awaitable[Opinion]]:
    async def answer(_: Question) -> Opinion:
        if isinstance(what, Exception):
            raise what
        return what

    return answer


async def never(_: Question) -> Opinion:
    await asyncio.Event().wait()
    raise AssertionError


def seat(decider: Fake, **changes: Any) -> Seat:
    given: dict[str, Any] = {
        "breaker": Breaker(2, 10.0),
        "memory": Memory(seconds=0, last_yes_seconds=0),
        "timeout": 5.0,
        "concurrency": 4,
    }
    return Seat("opa", decider, **given | changes)


def question(identity: str = "corp:4f7c") -> Question:
    return Question(
        decision_id="d" * 20,
        verified=verified(identity=identity),
        request=request(),
        server="local",
        now=NOW,
        token=SECRET,
    )


@pytest.mark.parametrize(
    ("what", "answer", "reason"),
    [
        (Yes(), "yes", None),
        (Yes(reason="on duty"), "yes", "on duty"),
        (No(reason="off\nduty"), "no", "off\\nduty"),
        (DeciderFault("answered 500"), "unavailable", "answered 500"),
        (DeciderFault("cannot connect", connecting=True), "unavailable", "cannot connect"),
        (DeciderMisconfigured("answered 404"), "misconfigured", "answered 404"),
        (QuestionUnaskable("the login's 'role' cannot be part of a question"), "unaskable", None),
        (RuntimeError(SECRET), "misconfigured", "an unforeseen error (RuntimeError)"),
        (TimeoutError(), "unavailable", None),
    ],
)
async def test_whatever_it_does_is_advice(
    what: Opinion | Exception, answer: str, reason: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    inquiry = await seat(Fake(says(what))).ask(question(), limit=5.0)
    assert inquiry.answer == answer
    if reason is not None:
        assert inquiry.reason == reason
    assert SECRET not in f"{inquiry!r} {inquiry.entry()} {caplog.text}"


async def test_who_does_not_answer_in_time_is_a_fault() -> None:
    made = seat(Fake(never), timeout=0.01)
    for identity in ("a", "b"):
        inquiry = await made.ask(question(identity), limit=5.0)
        assert (inquiry.answer, inquiry.reason) == ("unavailable", "no answer within 0.01 s")
    assert made.status().breaker == "open"
    left_alone = await made.ask(question(), limit=5.0)
    assert (left_alone.source, left_alone.reason) == ("breaker", "left alone, last fault: no answer within 0.01 s")


async def test_the_limit_of_the_login_is_one_too() -> None:
    inquiry = await seat(Fake(never), timeout=5.0).ask(question(), limit=0.01)
    assert inquiry.reason == "no answer within 0.01 s"


async def test_one_identity_has_half_of_the_turns() -> None:
    decider = Fake(never)
    made = seat(decider, timeout=30.0)
    hers = [asyncio.create_task(made.ask(question("mallory"), limit=30.0)) for _ in range(2)]
    for _ in hers:
        await decider.came.acquire()
    third = await made.ask(question("mallory"), limit=30.0)
    assert (third.answer, third.source) == ("unknown", "limit")
    his = asyncio.create_task(made.ask(question("bob"), limit=30.0))
    await decider.came.acquire()
    assert made.status().asking == 3
    for task in (*hers, his):
        task.cancel()
    await asyncio.gather(*hers, his, return_exceptions=True)
    assert made.status().asking == 0
    assert made.status().breaker == "closed", "who leaves says nothing of the decider"


async def test_time_spent_waiting_for_a_turn_is_not_the_deciders() -> None:
    """Else whoever keeps it busy would be let in by what counts in place of its no."""
    decider = Fake(never)
    made = seat(decider, concurrency=1, timeout=0.5, breaker=Breaker(9, 10.0))
    first = asyncio.create_task(made.ask(question("alice"), limit=0.5))
    await decider.came.acquire()
    second = asyncio.create_task(made.ask(question("bob"), limit=30.0))
    assert [(await first).reason, (await second).reason] == ["no answer within 0.5 s"] * 2
    assert len(decider.questions) == 2, "and it had half a second for each"


async def test_nobody_makes_their_last_yes_count_by_asking_too_often() -> None:
    """The decider is there, and would say no by now: what counts when it is not there must not count."""
    decider = Fake(says(Yes()))
    made = seat(decider, memory=Memory(seconds=0, last_yes_seconds=600), timeout=30.0)
    assert (await made.ask(question("mallory"), limit=30.0)).answer == "yes"
    decider._answer = never
    hers = [asyncio.create_task(made.ask(question("mallory"), limit=30.0)) for _ in range(2)]
    for _ in (0, *hers):
        await decider.came.acquire()
    more = await made.ask(question("mallory"), limit=30.0)
    assert (more.answer, more.last_yes_age) == ("unknown", None)
    for task in hers:
        task.cancel()
    await asyncio.gather(*hers, return_exceptions=True)


async def test_who_finds_no_turn_in_time_is_not_held_against_the_decider() -> None:
    decider = Fake(never)
    made = seat(decider, concurrency=1, timeout=30.0)
    first = asyncio.create_task(made.ask(question("a"), limit=30.0))
    await decider.came.acquire()
    for identity in ("b", "c", "d"):
        inquiry = await made.ask(question(identity), limit=30.01)
        assert (inquiry.answer, inquiry.source) == ("unknown", "limit"), "no fault, so no on_fault either"
        assert inquiry.reason == "no turn to ask within 0.01 s"
    assert made.status().breaker == "closed"
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_neither_a_no_nor_our_own_mistake_moves_the_breaker() -> None:
    for what in (No(), DeciderMisconfigured("answered 401"), QuestionUnaskable("x"), RuntimeError()):
        made = seat(Fake(says(what)))
        for number in range(10):
            await made.ask(question(f"corp:{number}"), limit=5.0)
        assert made.status().breaker == "closed", what


async def test_an_answer_is_used_again_if_the_settings_say_so() -> None:
    decider = Fake(says(Yes(reason="on duty")))
    made = seat(decider, memory=Memory(seconds=60, last_yes_seconds=0))
    first, second = [await made.ask(question(), limit=5.0) for _ in range(2)]
    assert (first.source, second.source, second.answer, second.reason) == ("decider", "cache", "yes", "on duty")
    assert len(decider.questions) == 1
    await made.ask(question("corp:other"), limit=5.0)
    assert len(decider.questions) == 2


async def test_nothing_is_asked_once_it_is_closed_and_what_is_under_way_may_end() -> None:
    released = asyncio.Event()

    async def waits(_: Question) -> Opinion:
        await released.wait()
        return Yes()

    closed: list[str] = []

    async def close() -> None:
        closed.append("closed")

    decider = Fake(waits)
    made = seat(decider, close=close)
    under_way = asyncio.create_task(made.ask(question(), limit=30.0))
    await decider.came.acquire()
    closing = asyncio.create_task(made.aclose())
    await asyncio.sleep(0)
    assert closed == []
    late = await made.ask(question("corp:late"), limit=5.0)
    assert (late.answer, late.source) == ("unknown", "limit")
    released.set()
    assert (await under_way).answer == "yes"
    await closing
    assert closed == ["closed"]


async def test_a_fault_is_logged_once_and_shown_until_it_is_past(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Opinion | Exception] = [DeciderFault("answered 500", where="https://opa"), DeciderFault("gone"), Yes()]

    async def answer(_: Question) -> Opinion:
        what = told.pop(0)
        if isinstance(what, Exception):
            raise what
        return what

    made = seat(Fake(answer))
    with caplog.at_level(logging.WARNING):
        await made.ask(question(), limit=5.0)
        assert made.status().last_fault == "https://opa: answered 500"
        await made.ask(question(), limit=5.0)
        await made.ask(question(), limit=5.0)
    assert [record.getMessage() for record in caplog.records] == ["decider opa: https://opa: answered 500"]
    assert made.status().last_fault is None


async def test_all_are_asked_at_the_same_time_and_the_token_goes_to_whose_protocol_it_is() -> None:
    both = asyncio.Barrier(2)

    async def together(_: Question) -> Opinion:
        await both.wait()
        return Yes()

    uma, opa = Fake(together, needs_token=True), Fake(together)
    panel = Panel({"uma": seat(uma), "opa": seat(opa)}, limit=5.0)
    asked = replace(question(), token=SECRET)
    inquiries = await panel.ask(("opa", "uma"), asked)
    assert [one.answer for one in inquiries] == ["yes", "yes"]
    assert [one.token for one in (*uma.questions, *opa.questions)] == [SECRET, None]
