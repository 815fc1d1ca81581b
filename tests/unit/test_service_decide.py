"""The way of a login: the order of its checks, and that whatever goes wrong denies and is recorded."""

import asyncio
import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Never, cast

import pytest

from pgbearer.audit import AuditLog, AuditUnavailable, DecisionRecord, Recent
from pgbearer.service.decide import Decider
from pgbearer.service.exchange import Peer
from pgbearer.service.judge import Judgement, judge
from pgbearer.service.limits import Buckets
from pgbearer.service.metrics import Metrics
from pgbearer.service.revocation_file import RevocationFile
from pgbearer.service.state import State
from pgbearer.tokens import Denied, Verifiers
from pgbearer.tokens.neighbours import Neighbours
from pgbearer.wire import Allowed, LoginRequest, Reason, Refused, RequestError, RoleAttributes
from tests.unit.logins import NOW, READERS, compiled, request, settings, verified

PEER = Peer(pid=1, uid=26, gid=26)


class FakeVerifiers:
    """Takes every token for alice's, unless it is told otherwise."""

    def __init__(self) -> None:
        self.asked = 0
        self.neighbours = Neighbours(())
        self.fault: Exception | None = None

    async def verify(self, token: str, **_: Any) -> Any:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        return verified()

    def keys_age(self, issuer: str) -> float | None:
        return 1.0


class FakeAudit:
    """Keeps records, unless its disk is full."""

    def __init__(self) -> None:
        self.records: list[DecisionRecord] = []
        self.full = False

    def write(self, record: DecisionRecord) -> bool:
        if self.full:
            raise AuditUnavailable("No space left on device")
        self.records.append(record)
        return True


@pytest.fixture
def verifiers() -> FakeVerifiers:
    return FakeVerifiers()


@pytest.fixture
def state(verifiers: FakeVerifiers) -> State:
    return State(
        settings=settings(READERS),
        digest="f" * 64,
        policy=compiled(READERS),
        verifiers=cast("Verifiers", verifiers),
        revocations=RevocationFile(Path("/nowhere")),
        sockets={},
        warnings=(),
        leeway=10.0,
    )


def login(*, token: str = "a.b.c", **changes: Any) -> LoginRequest:  # noqa: S107 - is none
    return LoginRequest(1, token, request(**changes))


async def reason(state: State, asked: LoginRequest, caller: str | None = "local") -> Reason:
    return (await judge(state, Buckets(), caller, asked, float(NOW))).reason


async def test_a_verified_person_with_a_rule_is_allowed(state: State) -> None:
    judgement = await judge(state, Buckets(), "local", login(), float(NOW))
    assert judgement.reason is Reason.ALLOWED
    assert judgement.allow is not None
    assert judgement.rules == ("readers",)
    assert judgement.trace


async def test_without_a_rule_the_reason_is_the_policys(state: State) -> None:
    judgement = await judge(state, Buckets(), "local", login(role="app_readwrite"), float(NOW))
    assert judgement.reason is Reason.ROLE_NOT_ALLOWED
    assert judgement.verified is not None
    assert judgement.allow is None


@pytest.mark.parametrize(
    ("asked", "caller", "expected"),
    [
        (login(), None, Reason.CALLER_UNKNOWN),
        (login(now=NOW * 1000 + 10_001), "local", Reason.CLOCK_SKEW),
        (login(now=NOW * 1000 - 10_001), "local", Reason.CLOCK_SKEW),
        (login(role_attributes=RoleAttributes(exists=False)), "local", Reason.ROLE_UNKNOWN),
        (login(token=""), "local", Reason.TOKEN_MISSING),
    ],
)
async def test_cheap_checks_come_before_the_token_is_looked_at(
    state: State, verifiers: FakeVerifiers, asked: LoginRequest, caller: str | None, expected: Reason
) -> None:
    assert await reason(state, asked, caller) is expected
    assert verifiers.asked == 0


async def test_a_clock_within_the_leeway_is_no_fault(state: State) -> None:
    assert await reason(state, login(now=NOW * 1000 - 9_999)) is Reason.ALLOWED


async def test_a_caller_that_asks_too_often_is_not_verified_for(state: State, verifiers: FakeVerifiers) -> None:
    limits = state.settings.limits.model_copy(update={"per_caller_per_second": 1})
    slow = replace(state, settings=state.settings.model_copy(update={"limits": limits}))
    buckets = Buckets()
    assert (await judge(slow, buckets, "local", login(), float(NOW))).reason is Reason.ALLOWED
    assert (await judge(slow, buckets, "local", login(), float(NOW))).reason is Reason.OVERLOADED
    assert (await judge(slow, buckets, "other", login(), float(NOW))).reason is not Reason.OVERLOADED
    assert verifiers.asked == 2


async def test_what_verification_says_is_the_reason(state: State, verifiers: FakeVerifiers) -> None:
    verifiers.fault = Denied(Reason.KEYS_STALE, "no fetch for 2 h")
    judgement = await judge(state, Buckets(), "local", login(), float(NOW))
    assert judgement == Judgement(reason=Reason.KEYS_STALE, detail="no fetch for 2 h")


async def test_a_refused_token_that_its_issuer_made_is_recorded_as_such(
    decider: Decider, audit: FakeAudit, verifiers: FakeVerifiers
) -> None:
    for authentic in (False, True):
        verifiers.fault = Denied(Reason.TOKEN_EXPIRED, "exp 1")
        verifiers.fault.authentic = authentic
        await decider.decide(login(), PEER, "local")
    assert [(record.authentic, record.verified) for record in audit.records] == [(False, False), (True, False)]


@pytest.fixture
def audit() -> FakeAudit:
    return FakeAudit()


@pytest.fixture
def recent() -> Recent:
    return Recent()


@pytest.fixture
def decider(state: State, audit: FakeAudit, recent: Recent, monkeypatch: pytest.MonkeyPatch) -> Decider:
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    return Decider(state, cast("AuditLog", audit), recent, Metrics())


async def test_an_allowed_login_is_recorded_before_it_is_answered(decider: Decider, audit: FakeAudit) -> None:
    answer = await decider.decide(login(), PEER, "local")
    assert isinstance(answer, Allowed)
    assert answer.identity == "corp:4f7c"
    assert answer.ends_at == (NOW + 36000) * 1000
    (record,) = audit.records
    assert record.decision_id == answer.decision_id
    assert (record.verified, record.identity, record.server, record.peer_uid) == (True, "corp:4f7c", "local", 26)
    assert record.ends_at == answer.ends_at


async def test_what_cannot_be_recorded_is_not_allowed(decider: Decider, audit: FakeAudit, recent: Recent) -> None:
    audit.full = True
    answer = await decider.decide(login(), PEER, "local")
    assert isinstance(answer, Refused)
    assert answer.reason is Reason.AUDIT_UNAVAILABLE
    assert decider.audit_fault == "No space left on device"
    known = recent.find(answer.decision_id)
    assert known is not None
    assert known.record.reason is Reason.AUDIT_UNAVAILABLE
    audit.full = False
    assert isinstance(await decider.decide(login(), PEER, "local"), Allowed)
    assert decider.audit_fault is None


@pytest.mark.parametrize("fault", [RuntimeError("x"), KeyError("eyJsecret"), RecursionError(), TimeoutError()])
async def test_what_nobody_foresaw_denies_and_is_seen_without_its_words(
    decider: Decider,
    verifiers: FakeVerifiers,
    audit: FakeAudit,
    fault: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    verifiers.fault = fault
    answer = await decider.decide(login(), PEER, "local")
    assert isinstance(answer, Refused)
    assert answer.reason is Reason.INTERNAL_ERROR
    assert audit.records[0].reason is Reason.INTERNAL_ERROR
    assert type(fault).__name__ in caplog.text
    assert "eyJsecret" not in caplog.text + str(audit.records)


async def test_a_service_that_ends_decides_nothing(decider: Decider, verifiers: FakeVerifiers) -> None:
    decider.draining = True
    answer = await decider.decide(login(), PEER, "local")
    assert isinstance(answer, Refused)
    assert answer.reason is Reason.NOT_READY
    assert verifiers.asked == 0


def test_a_request_that_is_none_is_recorded(decider: Decider, audit: FakeAudit) -> None:
    for caller, expected in (("local", Reason.REQUEST_INVALID), (None, Reason.CALLER_UNKNOWN)):
        answer = decider.refuse(RequestError(Reason.REQUEST_INVALID, "token is missing", None), PEER, caller)
        assert isinstance(answer, Refused)
        assert answer.reason is expected
        assert audit.records[-1].reason is expected
        assert audit.records[-1].role is None


async def test_no_record_holds_a_token(decider: Decider, audit: FakeAudit) -> None:
    await decider.decide(login(token="eyJsecret.eyJsecret.sig"), PEER, "local")
    await decider.decide(login(token="eyJsecret.eyJsecret.sig", role="x"), PEER, "local")
    assert len(audit.records) == 2
    for record in audit.records:
        assert "eyJsecret" not in repr(record) + str(record.entry())
        assert record.token_ref is not None
        assert len(record.token_ref) == 12


def test_a_state_has_places(state: State) -> None:
    other = replace(state, settings=state.settings.model_copy(update={"http": None}))
    assert state.places() == replace(state, digest="0", sockets={}).places()
    assert state.places() != other.places()
    assert Path("/run/pgbearer/login/login.sock") not in state.sockets


async def test_a_server_that_goes_away_before_the_decision_leaves_a_line(
    state: State, verifiers: FakeVerifiers
) -> None:
    waiting = asyncio.Event()

    async def never(token: str, **_: Any) -> Never:
        waiting.set()
        await asyncio.Event().wait()
        raise AssertionError(len(token))

    verifiers.verify = never  # type: ignore[method-assign]
    audit, recent = FakeAudit(), Recent()
    decider = Decider(state, cast("AuditLog", audit), recent, Metrics())
    asked = login(now=time.time_ns() // 1_000_000)
    deciding = asyncio.create_task(decider.decide(asked, PEER, "local"))
    await waiting.wait()
    deciding.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await deciding
    assert deciding.cancelled()
    (record,) = audit.records
    assert (record.reason, record.role, record.server) == (Reason.CALLER_GONE, asked.access.role, "local")
    assert recent.find(record.decision_id) is not None
