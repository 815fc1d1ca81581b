"""A candidate beside the enforced policy: it is counted how they differ, and no answer depends on it."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from pgbearer.audit import AuditLog, AuditUnavailable, DecisionRecord, Recent
from pgbearer.policy import Policy
from pgbearer.policy import compile as compile_policy
from pgbearer.service import shadow as shadow_module
from pgbearer.service.decide import Decider
from pgbearer.service.exchange import Peer
from pgbearer.service.metrics import Metrics
from pgbearer.service.revocation_file import RevocationFile
from pgbearer.service.shadow import NOTE_SECONDS, WAITING, Shadow
from pgbearer.service.shadow_tally import LISTED, OTHERS, RULES, Candidate, Difference, Kind, Login, Tally, Verdict
from pgbearer.service.state import State
from pgbearer.tokens import Denied, Verifiers
from pgbearer.tokens.neighbours import Neighbours
from pgbearer.verified import Verified
from pgbearer.wire import Allowed, Answer, LoginRequest, Reason
from tests.parts.records import allowed_record
from tests.unit import logins
from tests.unit.logins import NOW, READERS, compiled, verified
from tests.unit.test_policy_properties import rules

PEER = Peer(pid=1, uid=26, gid=26)
WRITERS = "{name: writers, any_role: [db-read], databases: [appdb], roles: [app_readwrite]}"
SHORT = "{name: readers, any_role: [db-read], databases: [appdb], roles: [app_readonly], session: {max: 1h}}"
NOBODY = "{name: nobody, deny: true}"
BROKEN = "{name: odd, issuers: [corp], databases: [appdb], roles: [app_readonly], when: '1 / claims.level > 0'}"


class FakeVerifiers:
    """Takes every token for that of `person`."""

    def __init__(self) -> None:
        self.person: Verified | Denied = verified()
        self.neighbours = Neighbours(())

    async def verify(self, token: str, **_: Any) -> Verified:
        if isinstance(self.person, Denied):
            raise self.person
        return self.person

    def keys_age(self, issuer: str) -> float | None:
        return 0.0

    async def confirm_critical(self, token: str, person: Verified, now: float) -> None:
        """Nobody is asked."""


class FakeAudit:
    """Keeps notes, unless its disk is full."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []
        self.full = False

    def write(self, record: DecisionRecord) -> bool:
        return True

    def note(self, kind: str, **members: Any) -> None:
        if self.full:
            raise AuditUnavailable("No space left on device")
        self.notes.append({"kind": kind, **members})


class Bench:
    """A decider whose clock stands still, with whatever policies are to be compared."""

    def __init__(self, enforced: Policy) -> None:
        self.verifiers = FakeVerifiers()
        self.audit = FakeAudit()
        state = State(
            settings=logins.settings(READERS),
            digest="e" * 64,
            policy=enforced,
            verifiers=cast("Verifiers", self.verifiers),
            revocations=RevocationFile(Path("/nowhere")),
            sockets={},
            warnings=(),
            leeway=10.0,
        )
        self.decider = Decider(state, cast("AuditLog", self.audit), Recent(), Metrics())
        self.shadow = self.decider.shadow

    def start(self, candidate: Policy) -> None:
        made = Candidate(file=Path("/candidate.yaml"), digest="c" * 64, policy=candidate, since=NOW * 1000)
        self.shadow.start(made, peer_uid=0)

    async def login(self, **changes: Any) -> Answer:
        answer = await self.decider.decide(LoginRequest(1, "a.b.c", logins.request(**changes)), PEER, "local")
        await self.shadow.settled(30)
        return answer


@pytest.fixture(autouse=True)
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: float(NOW))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench(compiled(READERS))
    yield made
    made.audit.full = False
    made.shadow.stop(peer_uid=0)


@pytest.mark.parametrize(
    ("candidate", "role", "kind", "rules"),
    [
        ([READERS], "app_readonly", None, ()),
        ([READERS.replace("readers", "others")], "app_readonly", None, ()),
        ([], "app_readonly", Kind.WOULD_DENY, ("readers",)),
        ([READERS, NOBODY], "app_readonly", Kind.WOULD_DENY, ("nobody",)),
        ([READERS, WRITERS], "app_readwrite", Kind.WOULD_ALLOW, ("writers",)),
        ([SHORT], "app_readonly", Kind.OTHER_END, ("readers",)),
        ([NOBODY], "app_readwrite", Kind.OTHER_REASON, ("nobody",)),
        ([], "app_readwrite", Kind.OTHER_REASON, ("",)),
        ([BROKEN], "app_readonly", Kind.WOULD_DENY, None),
    ],
)
async def test_what_differs_is_counted_by_kind_and_rule(
    bench: Bench, candidate: list[str], role: str, kind: Kind | None, rules: tuple[str, ...] | None
) -> None:
    bench.start(compiled(*candidate))
    answer = await bench.login(role=role)
    report = bench.shadow.report()
    assert (report["compared"], report["skipped"], report["waiting"]) == (1, 0, 0)
    assert {name: count for name, count in report["differing"].items() if count} == ({kind.value: 1} if kind else {})
    if rules is not None:
        assert [one["rule"] or "" for one in report["by_rule"]] == list(rules)
    if kind:
        (one,) = report["differences"]
        assert (one["decision_id"], one["policy"], one["role"]) == (answer.decision_id, "e" * 64, role)
        assert (one["identity"], one["kind"]) == ("corp:4f7c", kind.value)


async def test_only_what_was_verified_is_compared(bench: Bench) -> None:
    bench.start(compiled())
    bench.verifiers.person = Denied(Reason.TOKEN_EXPIRED, "exp 1")
    await bench.login()
    bench.decider.draining = True
    await bench.login()
    assert bench.shadow.report()["compared"] == 0


async def test_without_a_candidate_nothing_is_kept(bench: Bench) -> None:
    await bench.login()
    assert bench.shadow.summary() == {
        "running": False, "stopped": None, "file": None, "candidate": None, "since": None, "waiting": 0,
        "compared": 0, "skipped": 0, "differing": dict.fromkeys(map(str, Kind), 0),
    }  # fmt: skip


@pytest.mark.parametrize("fault", [RuntimeError("eyJsecret"), RecursionError(), MemoryError(), KeyError("x")])
async def test_a_candidate_that_fails_is_counted_and_costs_no_login(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fails(*_: object, **__: object) -> Any:
        raise fault

    monkeypatch.setattr(shadow_module, "evaluate", fails)
    bench.start(compiled())
    assert isinstance(await bench.login(), Allowed)
    assert isinstance(await bench.login(), Allowed)
    report = bench.shadow.report()
    assert report["differing"]["error"] == 2
    assert report["differences"][0]["candidate"] == {"error": type(fault).__name__}
    assert "eyJsecret" not in str(report)


async def test_the_answer_is_there_before_the_candidate_is_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def asks(*given: object, **_: object) -> Any:
        asked.append(given)
        raise RuntimeError

    monkeypatch.setattr(shadow_module, "evaluate", asks)
    bench.start(compiled())
    await bench.decider.decide(LoginRequest(1, "a.b.c", logins.request()), PEER, "local")
    assert asked == []
    await bench.shadow.settled(30)
    assert len(asked) == 1


async def test_what_it_cannot_keep_up_with_is_skipped_and_memory_stays_bounded(bench: Bench) -> None:
    bench.start(compiled())
    request = LoginRequest(1, "a.b.c", logins.request())
    for _ in range(WAITING + 7):  # none of these gives the event loop a turn
        await bench.decider.decide(request, PEER, "local")
    assert bench.shadow.summary()["waiting"] == WAITING
    assert bench.shadow.summary()["skipped"] == 7
    await bench.shadow.settled(30)
    report = bench.shadow.report()
    assert (report["compared"], report["waiting"]) == (WAITING, 0)


@pytest.fixture
def slow_collector() -> Iterator[list[float]]:
    """A clock that goes on by a second whenever the collector begins, which it does at every few objects."""
    clock, before = [0.0], gc.get_threshold()

    def collecting(phase: str, _: dict[str, int]) -> None:
        clock[0] += phase == "start"

    gc.callbacks.append(collecting)
    gc.set_threshold(100, *before[1:])
    yield clock
    gc.set_threshold(*before)
    gc.callbacks.remove(collecting)


async def test_a_search_for_garbage_is_not_held_against_a_candidate(
    bench: Bench, slow_collector: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes as long as the heap is large, whoever has it begin."""
    monkeypatch.setattr(shadow_module, "_difference", lambda *_: [[] for _ in range(1000)] and None)
    shadow = Shadow(cast("AuditLog", bench.audit), Metrics(), timer=lambda: slow_collector[0])
    bench.decider.shadow = bench.shadow = shadow
    bench.start(compiled())
    await bench.login()
    assert slow_collector[0] > 0, "there was no search at all"
    assert (shadow.summary()["compared"], shadow.summary()["stopped"]) == (1, None)
    assert gc.isenabled()


def test_the_tally_is_bounded() -> None:
    tally = Tally()
    for n in range(RULES + 50):
        tally.add(a_difference(f"rule {n}"))
    assert len(tally.last) == LISTED
    counted = {one["rule"]: one["count"] for one in tally.by_rule()}
    assert len(counted) == RULES + 1
    assert counted[OTHERS] == 50
    assert tally.numbers()["differing"]["would_deny"] == RULES + 50


def a_difference(rule: str) -> Difference:
    enforced = Verdict(reason=Reason.ALLOWED, rules=("readers",), ends_at=NOW)
    login = Login(
        verified=verified(), access=logins.request(), server="local", now=NOW, keys_age=0.0, enforced=enforced,
        record=allowed_record(),
    )  # fmt: skip
    return Difference(Kind.WOULD_DENY, login, Verdict(reason=Reason.DENIED_BY_RULE, rules=(rule,), detail="x" * 9999))


def test_what_is_listed_is_short_and_holds_no_claims() -> None:
    entry = a_difference("rule").entry()
    assert len(entry["candidate"]["detail"]) == 300
    assert "claims" not in entry


async def test_it_works_a_fifth_of_the_time_at_most(bench: Bench) -> None:
    ticks = iter(range(10**6))
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    slow = Shadow(
        cast("AuditLog", bench.audit), Metrics(), timer=lambda: next(ticks) * shadow_module.SLICE_SECONDS, pause=pause
    )
    bench.decider.shadow = bench.shadow = slow
    bench.start(compiled())
    for _ in range(3):
        await bench.decider.decide(LoginRequest(1, "a.b.c", logins.request()), PEER, "local")
    await slow.settled(30)
    await asyncio.sleep(0)
    assert pauses == [pytest.approx(4 * shadow_module.SLICE_SECONDS)] * 3, "one login a slice, then a pause"


async def test_a_candidate_that_takes_too_long_is_stopped(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    ticks = iter(range(10**6))
    slow = Shadow(cast("AuditLog", bench.audit), Metrics(), timer=lambda: float(next(ticks)))
    bench.decider.shadow = bench.shadow = slow
    bench.start(compiled())
    for _ in range(3):
        await bench.decider.decide(LoginRequest(1, "a.b.c", logins.request()), PEER, "local")
    await slow.settled(30)
    summary = slow.summary()
    assert (summary["running"], summary["compared"], summary["skipped"]) == (False, 1, 2)
    assert summary["stopped"] == "the candidate took 1.0 s for one login"
    assert bench.audit.notes[-1]["kind"] == "shadow_stop"
    assert "shadow stopped" in caplog.text


async def test_beginning_end_and_numbers_are_recorded(bench: Bench) -> None:
    bench.start(compiled())
    bench.shadow.note(NOTE_SECONDS)
    assert [note["kind"] for note in bench.audit.notes] == ["shadow_start"], "nothing to tell yet"
    await bench.login()
    for now in (NOTE_SECONDS + 1, 2 * NOTE_SECONDS - 1, 2 * NOTE_SECONDS, 9 * NOTE_SECONDS):
        bench.shadow.note(now)
    bench.shadow.stop(peer_uid=26)
    start, numbers, stop = bench.audit.notes
    assert start == {"kind": "shadow_start", "peer_uid": 0, "file": "/candidate.yaml", "candidate": "c" * 64}
    assert (numbers["kind"], numbers["compared"], numbers["differing"]["would_deny"]) == ("shadow", 1, 1)
    assert (stop["kind"], stop["peer_uid"], stop["compared"]) == ("shadow_stop", 26, 1)


async def test_what_cannot_be_recorded_is_neither_begun_nor_ended(bench: Bench) -> None:
    bench.audit.full = True
    with pytest.raises(AuditUnavailable):
        bench.start(compiled())
    assert bench.shadow.summary()["running"] is False
    bench.audit.full = False
    bench.start(compiled())
    bench.audit.full = True
    with pytest.raises(AuditUnavailable):
        bench.shadow.stop(peer_uid=0)
    assert bench.shadow.summary()["running"] is True
    await bench.login()
    assert bench.shadow.report()["compared"] == 1


async def test_it_outlives_a_reload_and_its_report_outlives_its_end(bench: Bench) -> None:
    bench.start(compiled())
    await bench.login()
    bench.decider.state = replace(bench.decider.state, digest="f" * 64)
    await bench.login()
    bench.shadow.stop(peer_uid=0)
    await bench.login()
    report = bench.shadow.report()
    assert (report["running"], report["compared"]) == (False, 2)
    assert [one["policy"][0] for one in report["differences"]] == ["f", "e"]
    bench.start(compiled(READERS))
    assert bench.shadow.report()["compared"] == 0


def outcome(answer: Answer) -> tuple[object, ...]:
    """An answer without its id, which is never the same."""
    if isinstance(answer, Allowed):
        return answer.identity, answer.ends_at, answer.claims
    return (answer.reason,)


def policy_of(drawn: list[dict[str, Any]]) -> Policy:
    settings = logins.settings()
    rule = type(logins.settings(READERS).rules[0])
    made = tuple(rule.model_validate({"name": f"r{n}", **one}) for n, one in enumerate(drawn))
    return compile_policy(settings.model_copy(update={"rules": made})).policy


@given(
    enforced=st.lists(rules(), max_size=3),
    candidate=st.lists(rules(), max_size=3),
    role=st.sampled_from(["app_readonly", "app_readwrite"]),
    token_roles=st.frozensets(st.sampled_from(["db-read", "db-write", "dba"])),
)
@profile(max_examples=60, deadline=None)
def test_no_answer_depends_on_a_candidate(
    enforced: list[dict[str, Any]], candidate: list[dict[str, Any]], role: str, token_roles: frozenset[str]
) -> None:
    one, other = policy_of(enforced), policy_of(candidate)

    async def answers() -> tuple[Answer, Answer, dict[str, Any]]:
        bench = Bench(one)
        bench.verifiers.person = verified(token_roles=token_roles)
        before = await bench.login(role=role)
        bench.start(other)
        after = await bench.login(role=role)
        report = bench.shadow.report()
        bench.shadow.stop(peer_uid=0)
        return before, after, report

    async def candidates_own() -> Answer:
        bench = Bench(other)
        bench.verifiers.person = verified(token_roles=token_roles)
        return await bench.login(role=role)

    before, after, report = asyncio.run(answers())
    assert outcome(before) == outcome(after)
    assert report["compared"] == 1
    differs = outcome(before)[:2] != outcome(asyncio.run(candidates_own()))[:2]
    assert sum(report["differing"].values()) == differs
