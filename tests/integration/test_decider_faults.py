"""Every fault, for every kind of decider and every tier: none allows, and each is told from a no."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from pgbearer.policy import Allow, Deny
from pgbearer.wire import Reason
from tests.integration.fix_decider import RULE, TOKEN, WHERE, AskingMaker, fresh_name
from tests.lying_decider import KINDS, LyingDecider
from tests.parts.authority import Authority
from tests.unit.logins import NOW

UNAVAILABLE, MISCONFIGURED, DENIED = (
    Reason.DECIDER_UNAVAILABLE,
    Reason.DECIDER_MISCONFIGURED,
    Reason.DECIDER_DENIED,
)
QUICKLY: Final = 0.12
"""Seconds that a decider has which will not answer anyway."""

TIERS: Final = {
    "normal": RULE,
    "critical": f"{{name: asking, {WHERE}, tier: critical, ask: {{all: [it]}}}}",
    "veto": f"{{name: asking, {WHERE}, ask: {{all: [it], veto: true}}}}",
    "last known": f"{{name: asking, {WHERE}, ask: {{any: [it], on_fault: {{last_known: {{max_age: 1h}}}}}}}}",
    "another rule": f"{{name: asking, {WHERE}, ask: {{all: [it], on_fault: {{rule: nobody}}}}}}",
}
NOBODY: Final = "{name: nobody, fallback: true, any_role: [none-has-this], databases: ['*'], roles: ['*']}"
READERS: Final = f"{{name: readers, {WHERE}}}"
"""Allows without asking: beside it a veto must hold."""

Fault = Callable[[LyingDecider], None]

FAULTS: Final[dict[str, tuple[Fault, Reason]]] = {
    "down": (lambda decider: decider.down(), UNAVAILABLE),
    "slow": (lambda decider: decider.hang(), UNAVAILABLE),
    "trickling": (lambda decider: decider.trickle(), UNAVAILABLE),
    "cut": (lambda decider: decider.cut(), UNAVAILABLE),
    "200 without decision": (lambda decider: decider.without_decision(), UNAVAILABLE),
    "200 without a body": (lambda decider: decider.body(b""), UNAVAILABLE),
    "200 with a list": (lambda decider: decider.body(b"[true]"), UNAVAILABLE),
    "200 with true alone": (lambda decider: decider.body(b"true"), UNAVAILABLE),
    "decision as text": (lambda decider: decider.as_text(), UNAVAILABLE),
    "decision as a number": (lambda decider: decider.change(decision=1, result=1, allow=1), UNAVAILABLE),
    "no decision but null": (lambda decider: decider.change(decision=None, result=None, allow=None), UNAVAILABLE),
    "decision said twice": (
        lambda decider: decider.body(
            b'{"decision": true, "decision": true, "result": {"allow": true}, "result": {"allow": true}}'
        ),
        UNAVAILABLE,
    ),
    "wrong request id": (lambda decider: decider.wrong_id(), UNAVAILABLE),
    "redirect": (lambda decider: decider.status(302, location="https://127.0.0.1:1/"), MISCONFIGURED),
    "redirect that keeps the question": (
        lambda decider: decider.status(307, location="https://127.0.0.1:1/"),
        MISCONFIGURED,
    ),
    "html": (lambda decider: decider.html(), UNAVAILABLE),
    "json called html": (lambda decider: decider.body(b'{"decision":true,"result":true}', "text/html"), UNAVAILABLE),
    "10 MB": (lambda decider: decider.huge(), UNAVAILABLE),
    "401 to us": (lambda decider: decider.refuse_us(), MISCONFIGURED),
    "404": (lambda decider: decider.status(404), MISCONFIGURED),
    "405": (lambda decider: decider.status(405), MISCONFIGURED),
    "201": (lambda decider: decider.status(201), UNAVAILABLE),
    "429 with Retry-After": (lambda decider: decider.status(429, **{"retry-after": "1"}), UNAVAILABLE),
    "500": (lambda decider: decider.status(500), UNAVAILABLE),
    "503": (lambda decider: decider.status(503), UNAVAILABLE),
}
EVERY_FAULT: Final = [
    (fault, kind)
    for fault in FAULTS
    for kind in KINDS
    if (fault, kind) != ("wrong request id", "keycloak")  # its answers have none: see those that are swapped, below
]
SLOW: Final = frozenset({"slow", "trickling"})
CERTIFICATES: Final = ("of another authority", "for another host", "expired")


@pytest.fixture(scope="module")
def one_decider(issuer_authority: Authority) -> Iterator[LyingDecider]:
    with LyingDecider(issuer_authority) as serving:
        yield serving


@pytest.fixture
def lying_decider(one_decider: LyingDecider) -> LyingDecider:
    """The same for all tests here, as good as new: there are hundreds of them."""
    one_decider.mend()
    one_decider.questions.clear()
    one_decider.connections = 0
    return one_decider


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize(("fault", "kind"), EVERY_FAULT)
async def test_no_fault_allows(
    lying_decider: LyingDecider, asking: AskingMaker, fault: str, kind: str, tier: str
) -> None:
    breaks, reason = FAULTS[fault]
    if (kind, fault) == ("opa", "200 without decision"):
        reason = DENIED  # undefined is OPA's no
    rules = [TIERS[tier], NOBODY] + ([READERS] if tier == "veto" else [])
    made = asking(kind, lying_decider, *rules, seconds=QUICKLY if fault in SLOW else None)
    breaks(lying_decider)
    outcome, heard = await made.login()
    assert isinstance(outcome, Deny), outcome
    assert (outcome.reason, outcome.rule) == (reason, "asking")
    assert TOKEN not in f"{outcome!r} {heard!r}"
    (inquiry,) = heard.inquiries
    assert inquiry.last_yes_age is None
    assert outcome.detail.startswith(f"it: {inquiry.answer}")


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("certificate", CERTIFICATES)
async def test_no_other_certificate_will_do(
    issuer_authority: Authority, tmp_path: Path, asking: AskingMaker, certificate: str, kind: str, tier: str
) -> None:
    other = Authority(tmp_path / "other", "another authority")
    shown = {
        "of another authority": lambda: other.server(fresh_name()),
        "for another host": lambda: issuer_authority.server(fresh_name(), ["decider.example.com"]),
        "expired": lambda: issuer_authority.server(fresh_name(), days=-1),
    }[certificate]()
    with LyingDecider(issuer_authority, certificate=shown) as decider:
        made = asking(kind, decider, TIERS[tier], NOBODY)
        outcome, _ = await made.login()
        assert isinstance(outcome, Deny)
        assert outcome.reason is UNAVAILABLE
        assert "TLS failed" in outcome.detail
        assert decider.questions == [], "nothing was told to it, least of all a token"


async def test_a_name_that_is_gone(lying_decider: LyingDecider, asking: AskingMaker) -> None:
    """At the same time, because a resolver that finds nothing takes its time."""
    made = [
        asking(kind, lying_decider, rule, NOBODY, url=lying_decider.url(kind).replace("127.0.0.1", "decider.invalid"))
        for kind in KINDS
        for rule in TIERS.values()
    ]
    for outcome, heard in await asyncio.gather(*(one.login() for one in made)):
        assert isinstance(outcome, Deny)
        assert outcome.reason is UNAVAILABLE
        assert "cannot connect" in outcome.detail or "in time" in outcome.detail, heard


@pytest.mark.parametrize("kind", KINDS)
async def test_answers_swapped_between_parallel_requests(
    lying_decider: LyingDecider, asking: AskingMaker, kind: str
) -> None:
    """Where answers have an id none of the two counts. Keycloak's have none: there it is the realm itself that lies."""
    made = asking(kind, lying_decider)
    lying_decider.swap()
    (good, _), (bad, _) = await asyncio.gather(made.login(), made.login(role="app_readwrite"))
    if kind == "keycloak":
        assert {type(good), type(bad)} == {Allow, Deny}
        return
    assert [isinstance(one, Deny) and one.reason for one in (good, bad)] == [UNAVAILABLE, UNAVAILABLE]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_late_answer_is_no_answer_to_the_next_question(
    lying_decider: LyingDecider, asking: AskingMaker, kind: str
) -> None:
    """What answers without ids hang on: a connection on which an answer is due is never used again."""
    made = asking(kind, lying_decider, seconds=2.0, concurrency=1)
    assert isinstance((await made.login())[0], Allow)
    lying_decider.hang_for("app_readwrite")
    task = asyncio.create_task(made.login(role="app_readwrite"))
    await asyncio.to_thread(lying_decider.await_questions, 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    lying_decider.deny()
    outcome, _ = await made.login()
    assert isinstance(outcome, Deny)
    assert outcome.reason is DENIED
    assert lying_decider.connections == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_no_is_no_fault(lying_decider: LyingDecider, asking: AskingMaker, kind: str) -> None:
    made = asking(kind, lying_decider, TIERS["last known"], NOBODY)
    assert isinstance((await made.login())[0], Allow)
    lying_decider.deny()
    outcome, heard = await made.login()
    assert isinstance(outcome, Deny)
    assert outcome.reason is DENIED
    assert heard.inquiries[0].reason in ("not on duty", "not_authorized")
    lying_decider.down()
    outcome, heard = await made.login()
    assert isinstance(outcome, Deny), "the no has the yes forgotten"
    assert heard.inquiries[0].last_yes_age is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fault", "allowed"),
    [("down", True), ("500", True), ("html", True), ("404", False), ("401 to us", False), ("redirect", False)],
)
async def test_the_last_yes_stands_in_for_a_fault_and_for_nothing_else(
    lying_decider: LyingDecider, asking: AskingMaker, kind: str, fault: str, allowed: bool
) -> None:
    made = asking(kind, lying_decider, TIERS["last known"], NOBODY)
    assert isinstance((await made.login())[0], Allow)
    FAULTS[fault][0](lying_decider)
    outcome, _ = await made.login()
    assert isinstance(outcome, Allow) is allowed
    for other in ({"role": "app_readwrite"}, {"person": {"acr": "pwd"}}, {"person": {"session_id": "s2"}}):
        outcome, _ = await made.login(**other)
        assert isinstance(outcome, Deny), "another question was never answered"
    outcome, _ = await made.login(person={"issued_at": NOW - 1, "token_id": "t2", "token_ref": "f" * 12})
    assert isinstance(outcome, Allow) is allowed, "the same session with a fresh token asks the same"


@pytest.mark.parametrize("kind", KINDS)
async def test_one_persons_bad_requests_do_not_keep_the_others_from_being_asked_about(
    lying_decider: LyingDecider, asking: AskingMaker, kind: str
) -> None:
    """Each of hers times out; the breaker stays closed, and there are turns for everybody else."""
    made = asking(kind, lying_decider, seconds=QUICKLY, concurrency=4)
    lying_decider.hang_for("app_readwrite")
    for _ in range(4):
        hers = await asyncio.gather(*(made.login(role="app_readwrite") for _ in range(4)))
        assert all(isinstance(outcome, Deny) and outcome.reason is UNAVAILABLE for outcome, _ in hers)
    (status,) = made.panel.status()
    assert status.breaker == "closed"
    made_slower = await made.answer(person={"identity": "corp:bob", "subject": "bob"})
    assert made_slower in ("yes", "unavailable")  # a slow machine may time him out: still nothing is held against him
    assert made.panel.status()[0].breaker == "closed"


@pytest.mark.parametrize("kind", KINDS)
async def test_the_breaker_opens_on_faults_and_closes_when_a_probe_gets_through(
    lying_decider: LyingDecider, asking: AskingMaker, kind: str
) -> None:
    made = asking(kind, lying_decider, breaker={"failures": 2, "open_for": "1s"})
    lying_decider.down()
    for _ in range(2):
        assert await made.answer() == "unavailable"
    assert made.panel.status()[0].breaker == "open"
    _, heard = await made.login()
    assert (heard.inquiries[0].source, heard.inquiries[0].breaker) == ("breaker", "open")
    lying_decider.mend()
    async with asyncio.timeout(30):
        while await made.answer() != "yes":  # what is left alone is answered at once
            pass
    assert made.panel.status()[0].breaker == "closed"


@pytest.fixture
def with_clients(issuer_authority: Authority) -> Iterator[LyingDecider]:
    with ExitStack() as stack:
        yield stack.enter_context(LyingDecider(issuer_authority, clients=issuer_authority))


@pytest.mark.parametrize("kind", KINDS)
async def test_our_own_certificate(
    with_clients: LyingDecider, issuer_authority: Authority, asking: AskingMaker, kind: str
) -> None:
    assert await asking(kind, with_clients).answer() == "unavailable"
    ours = issuer_authority.client(fresh_name())
    files: dict[str, Any] = {"client_cert_file": str(ours.cert_file), "client_key_file": str(ours.key_file)}
    assert await asking(kind, with_clients, **files).answer() == "yes"


@pytest.mark.parametrize("kind", KINDS)
async def test_connections_are_kept_and_nothing_is_asked_twice(
    lying_decider: LyingDecider, asking: AskingMaker, kind: str
) -> None:
    made = asking(kind, lying_decider)
    for _ in range(5):
        assert await made.answer() == "yes"
    assert lying_decider.connections == 1
    lying_decider.cut()
    assert await made.answer() == "unavailable"
    assert len(lying_decider.questions) == 6
    assert len({one.id for one in lying_decider.questions}) == 6, "each by the id of its own decision"


@pytest.mark.parametrize("kind", KINDS)
async def test_the_token_goes_only_where_it_is_the_protocol(
    lying_decider: LyingDecider, asking: AskingMaker, kind: str
) -> None:
    await asking(kind, lying_decider).login()
    (asked,) = lying_decider.questions
    assert (TOKEN in f"{asked.headers} {asked.body}") is (kind == "keycloak")
