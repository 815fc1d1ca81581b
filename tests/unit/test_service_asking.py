"""Where a login asks deciders: only if a rule says so, by one id, and what a candidate policy makes of the answers."""

import time
from pathlib import Path
from typing import Any, cast

import pytest

from pgbearer.audit import AuditLog, Inquiry, Recent
from pgbearer.deciders import Panel, Question
from pgbearer.service.decide import Decider
from pgbearer.service.exchange import Peer
from pgbearer.service.judge import judge
from pgbearer.service.limits import Buckets
from pgbearer.service.metrics import Metrics
from pgbearer.service.recording import login_record
from pgbearer.service.revocation_file import RevocationFile
from pgbearer.service.shadow import _difference
from pgbearer.service.shadow_tally import Candidate, Login
from pgbearer.service.state import State
from pgbearer.tokens import Revocation, Verifiers
from pgbearer.wire import LoginRequest, Reason, Refused
from tests.unit.logins import NOW, READERS, compiled, request, settings
from tests.unit.test_service_decide import FakeAudit, FakeVerifiers

PEER = Peer(pid=1, uid=26, gid=26)
ASKING = "{name: asking, any_role: [db-read], databases: [appdb], roles: [app_readonly], ask: {all: [opa]}}"
EITHER = ASKING.replace("all: [opa]", "any: [opa, pdp]")
VETO = "{name: veto, any_role: [db-read], databases: [appdb], roles: [app_readonly], ask: {all: [opa], veto: true}}"


class FakePanel:
    """Answers as it is told to, and keeps what it was asked."""

    def __init__(self, answer: str = "yes") -> None:
        self.answer = answer
        self.questions: list[Question] = []

    async def ask(self, names: tuple[str, ...], question: Question) -> tuple[Inquiry, ...]:
        self.questions.append(question)
        return tuple(
            Inquiry(decider=name, answer=self.answer, seconds=0.001, source="decider", breaker="closed")
            for name in names
        )


class Unrevoked(FakeVerifiers):
    def admit_unrevoked(self, *_: object) -> None:
        """Nothing is."""


def state(panel: FakePanel | None, *rules: str) -> State:
    return State(
        settings=settings(*rules),
        digest="f" * 64,
        policy=compiled(*rules),
        verifiers=cast("Verifiers", Unrevoked()),
        panel=cast("Panel | None", panel),
        revocations=RevocationFile(Path("/nowhere")),
        sockets={},
        warnings=(),
        leeway=10.0,
    )


async def judged(made: State) -> Any:
    return await judge(made, Buckets(), "local", LoginRequest(1, "a.b.c", request()), float(NOW))


async def test_who_needs_nobody_asks_nobody() -> None:
    panel = FakePanel("no")
    judgement = await judged(state(panel, READERS, ASKING))
    assert judgement.reason is Reason.ALLOWED
    assert (panel.questions, judgement.asked, judgement.decision_id) == ([], (), None)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("yes", Reason.ALLOWED),
        ("no", Reason.DECIDER_DENIED),
        ("unavailable", Reason.DECIDER_UNAVAILABLE),
        ("misconfigured", Reason.DECIDER_MISCONFIGURED),
        ("unaskable", Reason.NAME_NOT_EXPRESSIBLE),
    ],
)
async def test_what_is_said_decides_and_is_recorded_by_the_id_it_was_asked_with(answer: str, reason: Reason) -> None:
    panel = FakePanel(answer)
    judgement = await judged(state(panel, ASKING))
    assert judgement.reason is reason
    (question,) = panel.questions
    assert question.token == "a.b.c"
    assert (question.server, question.now) == ("local", NOW)
    record = login_record(LoginRequest(1, "a.b.c", request()), judgement, policy="p", server="local", peer=PEER, at=0)
    assert record.decision_id == question.decision_id
    assert record.entry()["asked"][0]["answer"] == answer


async def test_without_deciders_nobody_says_yes() -> None:
    assert (await judged(state(None, ASKING))).reason is Reason.DECIDER_UNAVAILABLE


async def test_an_answer_that_nobody_foresaw_is_no_yes() -> None:
    metrics = Metrics()
    decider = Decider(state(FakePanel("maybe"), ASKING), cast("AuditLog", FakeAudit()), Recent(), metrics)
    asked = LoginRequest(1, "a.b.c", request(now=time.time_ns() // 1_000_000))
    answer = await decider.decide(asked, PEER, "local")
    assert isinstance(answer, Refused)
    assert answer.reason is Reason.INTERNAL_ERROR


@pytest.mark.parametrize(
    ("enforced", "candidate", "answer", "kind"),
    [
        (ASKING, ASKING, "yes", None),
        (ASKING, VETO, "no", None),
        (READERS, ASKING, "yes", "it would have asked opa"),
        (ASKING, ASKING.replace("opa", "pdp"), "yes", "it would have asked pdp"),
        (EITHER, ASKING, "yes", None),
        (EITHER, VETO, "no", None),
        (ASKING, READERS, "no", "would_allow"),
    ],
)
async def test_a_candidate_gets_the_answers_that_were_given_and_no_others(
    enforced: str, candidate: str, answer: str, kind: str | None
) -> None:
    judgement = await judged(state(FakePanel(answer), enforced))
    record = login_record(LoginRequest(1, "a.b.c", request()), judgement, policy="p", server="local", peer=PEER, at=0)
    login = Login.of(request(), judgement, record, NOW)
    found = _difference(Candidate(file=Path("x"), digest="d", policy=compiled(candidate), since=0), login)
    assert (found and (found.error or found.kind.value)) == kind


async def test_revocations_are_told_on_to_who_listens(tmp_path: Path) -> None:
    file = RevocationFile(tmp_path / "state")
    file.open()
    heard: list[tuple[str, ...]] = []
    file.listeners.add(lambda new, _now: heard.append(tuple(entry.value for entry in new.entries)))

    def revocation(value: str) -> Revocation:
        given = {
            "id": f"{len(value):012x}",
            "kind": "sub",
            "value": value,
            "made_at": NOW,
            "until": None,
            "peer_uid": 0,
        }
        return Revocation.model_validate(given)

    await file.change(lambda present: present.adding(revocation("a")))
    await file.change(lambda present: present.adding(revocation("bb")))
    await file.change(lambda present: present.without(revocation("a").id))
    again = replace_until(revocation("bb"))
    await file.change(lambda present: present.adding(again))
    await file.aclose()
    assert heard == [("a",), ("bb",), (), ("bb",)]


def replace_until(revocation: Revocation) -> Revocation:
    return revocation.model_copy(update={"id": "f" * 12, "made_at": NOW + 1})
