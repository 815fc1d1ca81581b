"""Rules that ask, as they are explained, tested by cases, listed by who-can and compared by diff."""

from dataclasses import replace
from typing import Any

import pytest

from pgbearer import policy
from pgbearer.audit import Inquiry
from pgbearer.config import ConfigError, Settings
from pgbearer.policy import Advice, Answer
from pgbearer.policy.case_file import parse_cases
from pgbearer.policy.cases import Result, run_case
from pgbearer.policy.diff import compare, elsewhere, replay
from pgbearer.policy.explanation import explain_record
from pgbearer.policy.who_can import who_can
from pgbearer.wire import Reason
from tests.unit.logins import NOW, READERS, settings, verified
from tests.unit.recorded_logins import recorded

WHERE = "any_role: [db-read], databases: [appdb], roles: [app_readonly]"
ASKING = f"{{name: asking, {WHERE}, ask: {{all: [opa, pdp]}}}}"
EITHER = f"{{name: either, {WHERE}, ask: {{any: [opa, pdp]}}}}"
VETO = f"{{name: veto, {WHERE}, ask: {{all: [opa], veto: true}}}}"
INSTEAD = f"{{name: instead, {WHERE}, ask: {{all: [opa], on_fault: {{rule: staff}}}}}}"
STAFF = "{name: staff, any_group: [/staff], databases: ['*'], roles: ['*'], fallback: true}"


def with_deciders(*rules: str) -> Settings:
    plain = settings(*rules)
    members = {name: getattr(plain, name) for name in type(plain).model_fields}
    opa = {"type": "opa", "url": "https://opa.example.com"}
    return Settings.model_validate(members | {"deciders": {"opa": opa, "pdp": opa}})


def entry(reason: Reason, rules: tuple[str, ...], *inquiries: Inquiry) -> dict[str, Any]:
    """The record of the usual login."""
    return recorded(verified(), reason=reason, rules=rules) | {"asked": [one.entry() for one in inquiries]}


def said(decider: str, answer: str, reason: str | None = None, **changes: Any) -> Inquiry:
    given = Inquiry(decider=decider, answer=answer, reason=reason, seconds=0.0031, source="decider", breaker="closed")
    return replace(given, **changes)


def explained(rules: tuple[str, ...], record: dict[str, Any]) -> Any:
    given = settings(*rules)
    return explain_record(record, policy.compile(given).policy, "p" * 64, given.issuers)


def test_a_denial_is_explained_by_what_each_decider_said() -> None:
    record = entry(Reason.DECIDER_DENIED, ("asking",), said("opa", "no", "off duty"), said("pdp", "yes"))
    found = explained((ASKING,), record)
    (step,) = [step for step in found.steps if step.step == "deciders"]
    assert "opa said no (off duty), 3.1 ms, breaker closed; pdp said yes, 3.1 ms, breaker closed" in step.saw
    (rule,) = found.rules
    (key,) = [key for key in rule.keys if key.key == "ask"]
    assert (key.holds, key.wants, key.has) == (
        False,
        "a yes of opa and pdp",
        "opa: no (off duty); pdp: yes",
    )
    (change,) = found.changes
    assert change == (
        'So that the rule "asking" matches: Have app_readonly in appdb allowed to alice at opa and pdp; '
        "now: opa: no (off duty); pdp: yes."
    )
    assert found.now is None


def test_a_fault_is_explained_as_one() -> None:
    gone = said("opa", "unavailable", "left alone after faults", source="breaker", breaker="open")
    found = explained((VETO, READERS), entry(Reason.DECIDER_UNAVAILABLE, ("veto",), gone))
    (step,) = [step for step in found.steps if step.step == "deciders"]
    assert "opa is unavailable (left alone after faults), not asked, breaker open" in step.saw
    assert found.changes == (Reason.DECIDER_UNAVAILABLE.remedy,)
    assert found.now is None


def test_a_login_that_is_explained_by_a_policy_that_asks_others_says_so() -> None:
    found = explained((ASKING,), entry(Reason.ALLOWED, ("readers",)))
    assert found.now.reason == "decider_unavailable"
    (key,) = [key for rule in found.rules for key in rule.keys if key.key == "ask"]
    assert (key.holds, key.has) == (None, "opa was not asked; pdp was not asked")


@pytest.mark.parametrize(
    ("rules", "opinions", "decision", "reason"),
    [
        ((ASKING,), "{opa: allow, pdp: allow}", "allow", None),
        ((ASKING,), "{opa: allow}", "deny", "decider_unavailable"),
        ((ASKING,), "{opa: deny, pdp: allow}", "deny", "decider_denied"),
        ((EITHER,), "{opa: deny, pdp: allow}", "allow", None),
        ((EITHER,), "{opa: misconfigured, pdp: deny}", "deny", "decider_misconfigured"),
        ((VETO, READERS), "{opa: deny}", "deny", "decider_denied"),
        ((INSTEAD, STAFF), "{opa: unavailable}", "allow", None),
        ((INSTEAD, STAFF), "{opa: deny}", "deny", "decider_denied"),
    ],
)
def test_cases_say_what_deciders_say(rules: tuple[str, ...], opinions: str, decision: str, reason: str | None) -> None:
    assert run(rules, opinions, f"decision: {decision}" + (f", reason: {reason}" if reason else "")).passed


def run(rules: tuple[str, ...], opinions: str, expect: str) -> Result:
    cases = parse_cases(
        "version: 1\ndefaults: {token: {issuer: corp, roles: [db-read], groups: [/staff]}, "
        "request: {server: local, role: app_readonly, database: appdb}}\n"
        f"cases:\n  - {{name: one, opinions: {opinions}, expect: {{{expect}}}}}\n",
        "cases",
    )
    given = with_deciders(*rules)
    return run_case(policy.compile(given).policy, given, cases, 0)


def test_a_case_that_comes_out_otherwise_says_what_was_said() -> None:
    result = run((ASKING,), "{opa: allow, pdp: deny}", "decision: allow")
    assert result.why == ('the rule "asking" does not match: ask asks for a yes of opa and pdp; opa: yes; pdp: no',)


def test_a_case_speaks_of_deciders_that_there_are() -> None:
    with pytest.raises(ConfigError) as refused:
        run((ASKING,), "{oqa: allow}", "decision: allow")
    assert "there is no decider 'oqa'" in refused.value.diagnostics()


def test_who_can() -> None:
    found = who_can(settings(EITHER, INSTEAD, STAFF, VETO), "app_readonly", "appdb")
    assert [(way.rule, way.who) for way in found.ways] == [
        ("either", "token role db-read, a yes of opa or pdp"),
        ("instead", 'token role db-read, a yes of opa (or, while it cannot be asked, the rule "staff" matches)'),
        ("veto", "token role db-read, a yes of opa"),
    ]
    assert [(way.rule, way.veto, way.who) for way in found.never] == [
        ("veto", True, "token role db-read, without a yes of opa")
    ]


def test_diff_sees_whom_a_rule_asks() -> None:
    changes = compare(with_deciders(READERS), with_deciders(READERS.replace("}", ", ask: {all: [opa]}}")))
    assert [(change.kind, change.who) for change in changes] == [("loses", "token role db-read")]
    moved = with_deciders(ASKING)
    opa = moved.deciders["opa"].model_copy(update={"url": "https://other.example.com"})
    assert elsewhere(with_deciders(ASKING), moved.model_copy(update={"deciders": moved.deciders | {"opa": opa}})) == (
        "deciders.opa.url: https://opa.example.com -> https://other.example.com",
    )


def test_a_recorded_login_is_replayed_with_what_was_said() -> None:
    record = entry(Reason.ALLOWED, ("asking",), said("opa", "yes"), said("pdp", "yes"))
    before, same, other = (
        policy.compile(settings(rule)).policy for rule in (ASKING, EITHER, ASKING.replace("pdp", "other"))
    )
    assert not replay(before, same, [record]).shifts
    (shift,) = replay(before, other, [record]).shifts
    assert "decider_unavailable" in str(shift)


def test_advice_reads_as_a_sentence() -> None:
    assert str(Advice(answer=Answer.NO, reason="off duty")) == "no (off duty)"
    assert str(Advice(answer=Answer.YES)) == "yes"
    assert NOW
