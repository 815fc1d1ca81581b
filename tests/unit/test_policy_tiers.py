"""The critical tier, by table: the reason that each demand leads to if it is not met, and that the strictest counts."""

import json
from typing import Any

import pytest

from pgbearer import policy
from pgbearer.audit import timestamp
from pgbearer.config import Settings
from pgbearer.policy import Allow, Deny, Policy
from pgbearer.policy.recorded import decide_again, question_of
from pgbearer.policy.tiers import DEMANDS
from pgbearer.service.exchange import Peer
from pgbearer.service.judge import Judgement
from pgbearer.service.recording import login_record
from pgbearer.wire import Client, LoginRequest, Reason, Tls
from tests.unit.logins import NOW, READERS, ask, compiled, request, settings, verified

CRITICAL = (
    "{name: payroll, issuers: [corp], any_role: [db-read], databases: [appdb], roles: [app_readonly], tier: critical}"
)
CERTIFICATE = "ab" * 32


def with_terms(*rules: str, **changes: Any) -> Policy:
    """These rules with changed terms of issuer corp's critical tier."""
    given = settings(*rules)
    corp = given.issuers["corp"]
    assert corp.critical is not None
    corp = corp.model_copy(update={"critical": corp.critical.model_copy(update=changes)})
    changed: Settings = given.model_copy(update={"issuers": given.issuers | {"corp": corp}})
    return policy.compile(changed).policy


def over_tls(certificate: str | None) -> Client:
    return Client(address="10.1.2.3", port=1, tls=Tls(version="TLSv1.3", cipher="x", client_cert_sha256=certificate))


def test_what_meets_every_demand_is_allowed_and_ends_with_the_token() -> None:
    outcome = ask(compiled(CRITICAL))
    assert isinstance(outcome, Allow)
    assert outcome.critical
    assert outcome.ends_at == NOW + 290


CASES: list[tuple[dict[str, Any], Reason]] = [
    ({"keys_age": None}, Reason.KEYS_STALE),
    ({"keys_age": 600.5}, Reason.KEYS_STALE),
    ({"client": "pgbearer-device"}, Reason.CLIENT_NOT_CRITICAL),
    ({"client": None}, Reason.CLIENT_NOT_CRITICAL),
    ({"issued_at": NOW - 301}, Reason.TOKEN_TOO_OLD),
    ({"auth_time": None}, Reason.AUTHENTICATION_UNKNOWN),
    ({"auth_time": NOW - 3601}, Reason.AUTHENTICATION_TOO_OLD),
    ({"acr": None}, Reason.AUTHENTICATION_UNKNOWN),
    ({"acr": ""}, Reason.AUTHENTICATION_UNKNOWN),
    ({"acr": "pwd"}, Reason.AUTHENTICATION_TOO_WEAK),
    ({"acr": "MFA"}, Reason.AUTHENTICATION_TOO_WEAK),
]


@pytest.mark.parametrize(("changes", "reason"), CASES)
def test_what_is_not_met_is_refused_though_a_normal_rule_allows(changes: dict[str, Any], reason: Reason) -> None:
    for rules in (compiled(CRITICAL), compiled(CRITICAL, READERS), compiled(READERS, CRITICAL)):
        outcome = ask(rules, **changes)
        assert isinstance(outcome, Deny)
        assert (outcome.reason, outcome.rule) == (reason, "payroll")
        assert outcome.detail.startswith("tier critical: ")
    assert isinstance(ask(compiled(READERS), **changes), Allow), "nobody else is asked for it"


@pytest.mark.parametrize(
    "changes",
    [
        {"keys_age": 600.0},
        {"issued_at": NOW - 300},
        {"auth_time": NOW - 3600},
        {"acr": "passkey"},
        {"auth_time": NOW + 5},
    ],
)
def test_just_met_is_met(changes: dict[str, Any]) -> None:
    assert isinstance(ask(compiled(CRITICAL), **changes), Allow)


def test_every_demand_has_a_case() -> None:
    reasons = {reason for _, reason in CASES} | {Reason.CERTIFICATE_REQUIRED}
    assert len(reasons) == len(DEMANDS) + 1, "authentication can be unknown in two ways"


def test_without_named_acr_any_will_do_and_none_will_not() -> None:
    rules = with_terms(CRITICAL, acr=())
    assert isinstance(ask(rules, acr="pwd"), Allow)
    assert isinstance(ask(rules, acr=None), Deny)


@pytest.mark.parametrize(
    ("bound", "client", "met"),
    [
        (CERTIFICATE, over_tls(CERTIFICATE), True),
        (None, over_tls(CERTIFICATE), False),
        (CERTIFICATE, over_tls(None), False),
        (CERTIFICATE, over_tls("cd" * 32), False),
        (CERTIFICATE, Client(address=None, port=None, tls=None), False),
        (None, over_tls(None), False),
    ],
)
def test_bound_to_the_clients_certificate(bound: str | None, client: Client, *, met: bool) -> None:
    outcome = ask(with_terms(CRITICAL, certificate_bound=True), certificate=bound, request_client=client)
    if met:
        assert isinstance(outcome, Allow)
    else:
        assert isinstance(outcome, Deny)
        assert outcome.reason is Reason.CERTIFICATE_REQUIRED


def test_a_rule_that_does_not_match_demands_nothing() -> None:
    outcome = ask(compiled(READERS, CRITICAL.replace("[db-read]", "[dba]")), acr=None, auth_time=None)
    assert isinstance(outcome, Allow)
    assert not outcome.critical


def test_a_deny_rule_wins_before_the_tier_is_asked_for() -> None:
    outcome = ask(compiled(CRITICAL, "{name: never, deny: true}"), acr=None)
    assert isinstance(outcome, Deny)
    assert outcome.reason is Reason.DENIED_BY_RULE


@pytest.mark.parametrize(("session", "end"), [("{until: fixed, max: 1h}", 3600), ("{max: 1m}", 60), ("{max: 1h}", 290)])
def test_a_rule_may_say_how_long_all_the_same(session: str, end: int) -> None:
    outcome = ask(compiled(CRITICAL.replace("tier:", f"session: {session}, tier:")))
    assert isinstance(outcome, Allow)
    assert outcome.ends_at == NOW + end


def test_an_issuer_without_a_critical_tier_never_meets_it() -> None:
    """The loader refuses such a rule; whoever compiles without it is denied all the same."""
    rules = compiled(CRITICAL.replace("issuers: [corp], ", ""))
    outcome = ask(rules, issuer="batch")
    assert isinstance(outcome, Deny)
    assert outcome.reason is Reason.CLIENT_NOT_CRITICAL


@pytest.mark.parametrize("keys_age", [None, 12.25, 600.5])
@pytest.mark.parametrize("changes", [{}, {"acr": None}, {"auth_time": NOW - 7200}, {"client": "pgbearer-device"}])
def test_a_recorded_decision_is_made_again_alike(keys_age: float | None, changes: dict[str, Any]) -> None:
    token = verified(**changes)
    judgement = Judgement(reason=Reason.NO_RULE, verified=token, keys_age=keys_age)
    login = LoginRequest(1, "not.a.token", request())
    record = login_record(login, judgement, policy="f" * 64, server="local", peer=Peer(1, 26, 26), at=NOW * 1000)
    asked = question_of(json.loads(json.dumps({"time": timestamp(record.at), **record.entry()})))
    assert asked.keys_age == keys_age
    assert decide_again(compiled(CRITICAL), asked) == ask(compiled(CRITICAL), keys_age=keys_age, **changes)
