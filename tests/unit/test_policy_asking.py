"""Rules that ask, by table: who is asked, what each answer comes to, and that nothing but a yes allows."""

from collections.abc import Mapping
from functools import cache
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer import policy
from pgbearer.config import Settings
from pgbearer.config.deciders import OnFault
from pgbearer.policy import Advice, Allow, Answer, Ask, Deny, Outcome, Policy
from pgbearer.wire import Reason
from tests.unit.logins import NOW, READERS, compiled, request, settings, verified

WHERE = "any_role: [db-read], databases: [appdb], roles: [app_readonly]"
ASKING = f"{{name: asking, {WHERE}, ask: {{all: [opa]}}}}"
BOTH = f"{{name: both, {WHERE}, ask: {{all: [opa, pdp]}}}}"
EITHER = f"{{name: either, {WHERE}, ask: {{any: [opa, pdp]}}}}"
VETO = f"{{name: veto, {WHERE}, ask: {{all: [opa], veto: true}}}}"
LATER = f"{{name: later, {WHERE}, ask: {{all: [opa], on_fault: {{last_known: {{max_age: 10m}}}}}}}}"
INSTEAD = f"{{name: instead, {WHERE}, ask: {{all: [opa], on_fault: {{rule: staff}}}}}}"
STAFF = "{name: staff, any_group: [/staff], databases: ['*'], roles: ['*'], fallback: true, session: {max: 1h}}"
LEAVERS = "{name: leavers, deny: true, any_group: [/staff]}"

YES, NO = Advice(answer=Answer.YES), Advice(answer=Answer.NO, reason="not on duty")
GONE, WRONG = Advice(answer=Answer.UNAVAILABLE, reason="no answer"), Advice(answer=Answer.MISCONFIGURED)
AWKWARD, UNKNOWN = Advice(answer=Answer.UNASKABLE), Advice(answer=Answer.UNKNOWN)
NOT_YES = (NO, GONE, WRONG, AWKWARD, UNKNOWN)
ANSWERS = (YES, *NOT_YES)


def first(rules: Policy, **changes: Any) -> Outcome | Ask:
    """The first step, for the usual login with `changes` to the token."""
    return policy.evaluate(rules, verified(**changes), request(), server="local", now=NOW, keys_age=1.0)


def outcome(rules: Policy, advice: Mapping[str, Advice], **changes: Any) -> Outcome:
    return policy.decide(rules, verified(**changes), request(), server="local", now=NOW, keys_age=1.0, advice=advice)


def gist(found: Outcome) -> tuple[object, ...]:
    if isinstance(found, Allow):
        return (Reason.ALLOWED, found.rules)
    return (found.reason, (found.rule,) if found.rule else ())


@pytest.mark.parametrize(
    ("rules", "asked"),
    [
        ((ASKING,), ("opa",)),
        ((BOTH,), ("opa", "pdp")),
        ((EITHER, ASKING), ("opa", "pdp")),
        ((READERS, ASKING), None),
        ((READERS, VETO), ("opa",)),
        ((READERS, BOTH, VETO), ("opa",)),
        ((ASKING, LEAVERS), None),
        ((ASKING.replace("db-read", "dba"),), None),
        ((READERS,), None),
        ((STAFF,), None),
        ((INSTEAD, STAFF), ("opa",)),
    ],
)
def test_who_is_asked(rules: tuple[str, ...], asked: tuple[str, ...] | None) -> None:
    found = first(compiled(*rules))
    assert (found.deciders if isinstance(found, Ask) else None) == asked


@pytest.mark.parametrize(
    ("rules", "advice", "expected"),
    [
        ((ASKING,), {"opa": YES}, (Reason.ALLOWED, ("asking",))),
        ((ASKING,), {"opa": NO}, (Reason.DECIDER_DENIED, ("asking",))),
        ((ASKING,), {"opa": GONE}, (Reason.DECIDER_UNAVAILABLE, ("asking",))),
        ((ASKING,), {"opa": WRONG}, (Reason.DECIDER_MISCONFIGURED, ("asking",))),
        ((ASKING,), {"opa": AWKWARD}, (Reason.NAME_NOT_EXPRESSIBLE, ("asking",))),
        ((ASKING,), {}, (Reason.DECIDER_UNAVAILABLE, ("asking",))),
        ((ASKING,), {"pdp": YES}, (Reason.DECIDER_UNAVAILABLE, ("asking",))),
        ((BOTH,), {"opa": YES, "pdp": YES}, (Reason.ALLOWED, ("both",))),
        ((BOTH,), {"opa": YES, "pdp": NO}, (Reason.DECIDER_DENIED, ("both",))),
        ((BOTH,), {"opa": GONE, "pdp": NO}, (Reason.DECIDER_DENIED, ("both",))),
        ((BOTH,), {"opa": GONE, "pdp": YES}, (Reason.DECIDER_UNAVAILABLE, ("both",))),
        ((EITHER,), {"opa": NO, "pdp": YES}, (Reason.ALLOWED, ("either",))),
        ((EITHER,), {"opa": GONE, "pdp": YES}, (Reason.ALLOWED, ("either",))),
        ((EITHER,), {"opa": GONE, "pdp": NO}, (Reason.DECIDER_UNAVAILABLE, ("either",))),
        ((EITHER,), {"opa": NO, "pdp": NO}, (Reason.DECIDER_DENIED, ("either",))),
        ((EITHER, ASKING), {"opa": NO, "pdp": YES}, (Reason.ALLOWED, ("either",))),
        ((EITHER, ASKING), {"opa": YES, "pdp": YES}, (Reason.ALLOWED, ("asking", "either"))),
        ((VETO,), {"opa": YES}, (Reason.ALLOWED, ("veto",))),
        ((READERS, VETO), {"opa": YES}, (Reason.ALLOWED, ("readers", "veto"))),
        ((READERS, VETO), {"opa": NO}, (Reason.DECIDER_DENIED, ("veto",))),
        ((READERS, VETO), {"opa": GONE}, (Reason.DECIDER_UNAVAILABLE, ("veto",))),
        ((READERS, VETO), {}, (Reason.DECIDER_UNAVAILABLE, ("veto",))),
        ((READERS, ASKING), {"opa": NO}, (Reason.ALLOWED, ("readers",))),
        ((ASKING, LEAVERS), {"opa": YES}, (Reason.DENIED_BY_RULE, ("leavers",))),
    ],
)
def test_what_the_answers_come_to(
    rules: tuple[str, ...], advice: Mapping[str, Advice], expected: tuple[object, ...]
) -> None:
    for ordered in permutations(rules):
        assert gist(outcome(compiled(*ordered), advice)) == expected


@pytest.mark.parametrize("rule", [ASKING, BOTH, VETO, LATER])
@pytest.mark.parametrize("opa", NOT_YES, ids=lambda advice: advice.answer)
@pytest.mark.parametrize("pdp", ANSWERS, ids=lambda advice: advice.answer)
def test_nothing_but_a_yes_allows(rule: str, opa: Advice, pdp: Advice) -> None:
    found = outcome(compiled(rule), {"opa": opa, "pdp": pdp})
    assert isinstance(found, Deny)
    assert found.rule is not None


@pytest.mark.parametrize(("opa", "pdp"), list(product(NOT_YES, NOT_YES)))
def test_no_two_answers_that_are_no_yes_make_one(opa: Advice, pdp: Advice) -> None:
    assert isinstance(outcome(compiled(EITHER), {"opa": opa, "pdp": pdp}), Deny)


def test_a_denial_names_the_decider_and_its_reason() -> None:
    found = outcome(compiled(ASKING), {"opa": NO})
    assert isinstance(found, Deny)
    assert found.detail == "opa: no (not on duty)"
    assert [(one.rule, one.unmet, one.error) for one in found.considered] == [("asking", "ask", None)]


@pytest.mark.parametrize(
    ("age", "answer", "expected"),
    [
        (600.0, Answer.UNAVAILABLE, Reason.ALLOWED),
        (600.1, Answer.UNAVAILABLE, Reason.DECIDER_UNAVAILABLE),
        (None, Answer.UNAVAILABLE, Reason.DECIDER_UNAVAILABLE),
        (1.0, Answer.MISCONFIGURED, Reason.DECIDER_MISCONFIGURED),
        (1.0, Answer.NO, Reason.DECIDER_DENIED),
        (1.0, Answer.UNASKABLE, Reason.NAME_NOT_EXPRESSIBLE),
        (1.0, Answer.UNKNOWN, Reason.DECIDER_UNAVAILABLE),
    ],
)
def test_the_last_yes_counts_for_a_fault_only_and_not_for_long(
    age: float | None, answer: Answer, expected: Reason
) -> None:
    assert gist(outcome(compiled(LATER), {"opa": Advice(answer=answer, last_yes_age=age)}))[0] is expected
    veto = LATER.replace("all: [opa]", "all: [opa], veto: true")
    assert gist(outcome(compiled(READERS, veto), {"opa": Advice(answer=answer, last_yes_age=age)}))[0] is expected


def test_a_last_yes_is_of_no_use_to_a_rule_that_does_not_take_it() -> None:
    recent = Advice(answer=Answer.UNAVAILABLE, last_yes_age=1.0)
    assert isinstance(outcome(compiled(ASKING), {"opa": recent}), Deny)


def test_what_a_decider_says_of_faults_counts_unless_the_rule_says_otherwise() -> None:
    given = settings(ASKING, LATER.replace("{last_known: {max_age: 10m}}", "deny"))
    recent = Advice(answer=Answer.UNAVAILABLE, last_yes_age=1.0)
    later = OnFault.model_validate({"last_known": {"max_age": "1m"}})
    opa = {"type": "opa", "url": "https://opa.example.com/v1/data/x", "on_fault": later}
    with_decider: Settings = Settings.model_validate(
        {**{name: getattr(given, name) for name in type(given).model_fields}, "deciders": {"opa": opa}}
    )
    assert gist(outcome(policy.compile(with_decider).policy, {"opa": recent})) == (Reason.ALLOWED, ("asking",))


@pytest.mark.parametrize(
    ("advice", "groups", "expected"),
    [
        (GONE, {"/staff"}, (Reason.ALLOWED, ("instead", "staff"))),
        (GONE, {"/guests"}, (Reason.DECIDER_UNAVAILABLE, ("instead",))),
        (NO, {"/staff"}, (Reason.DECIDER_DENIED, ("instead",))),
        (WRONG, {"/staff"}, (Reason.DECIDER_MISCONFIGURED, ("instead",))),
        (YES, {"/guests"}, (Reason.ALLOWED, ("instead",))),
    ],
)
def test_a_fallback_counts_for_a_fault_only_and_must_match(
    advice: Advice, groups: set[str], expected: tuple[object, ...]
) -> None:
    found = outcome(compiled(INSTEAD, STAFF), {"opa": advice}, groups=frozenset(groups))
    assert gist(found) == expected
    if isinstance(found, Allow):
        assert found.ends_at == NOW + (3600 if "staff" in found.rules else 36000)


def test_a_fallback_alone_allows_nothing() -> None:
    found = outcome(compiled(STAFF), {})
    assert gist(found) == (Reason.NO_RULE, ())


def test_a_rule_whose_decider_is_not_asked_still_shortens_and_raises_the_tier() -> None:
    short = ASKING.replace("ask:", "session: {max: 5m}, ask:")
    found = outcome(compiled(READERS, short), {})
    assert isinstance(found, Allow)
    assert (found.rules, found.ends_at) == (("readers",), NOW + 300)
    critical = ASKING.replace("ask:", "tier: critical, issuers: [corp], ask:")
    assert gist(outcome(compiled(READERS, critical), {}, acr="pwd"))[0] is Reason.AUTHENTICATION_TOO_WEAK
    found = outcome(compiled(READERS, critical), {})
    assert isinstance(found, Allow)
    assert found.critical


def test_a_no_takes_the_terms_of_its_rule_away() -> None:
    short = ASKING.replace("ask:", "session: {max: 5m}, ask:")
    other = ASKING.replace("name: asking", "name: other").replace("opa", "pdp")
    found = outcome(compiled(short, other), {"opa": NO, "pdp": YES})
    assert isinstance(found, Allow)
    assert (found.rules, found.ends_at) == (("other",), NOW + 36000)
    found = outcome(compiled(short, other), {"opa": GONE, "pdp": YES})
    assert isinstance(found, Allow)
    assert (found.rules, found.ends_at) == (("other",), NOW + 300)


def test_nobody_is_asked_about_a_login_that_is_not_good_enough_anyway() -> None:
    critical = ASKING.replace("ask:", "tier: critical, issuers: [corp], ask:")
    found = first(compiled(critical), acr="pwd")
    assert isinstance(found, Deny)
    assert found.reason is Reason.AUTHENTICATION_TOO_WEAK
    assert isinstance(first(compiled(critical)), Ask)


SHORT = f"{{name: short, {WHERE}, session: {{max: 5m}}, ask: {{any: [pdp]}}}}"
CRITICAL = f"{{name: critical, issuers: [corp], {WHERE}, tier: critical, ask: {{all: [pdp]}}}}"
RULES = (READERS, ASKING, BOTH, EITHER, VETO, SHORT, CRITICAL)
"""Without ``on_fault``: what is not known can then only tighten."""
some_rules = st.lists(st.sampled_from(RULES), unique=True, min_size=1, max_size=4).map(tuple)
some_advice = st.fixed_dictionaries({"opa": st.sampled_from(ANSWERS), "pdp": st.sampled_from(ANSWERS)})
some_acr = st.sampled_from(["mfa", "pwd"])


@cache
def policy_of(*rules: str) -> Policy:
    return compiled(*rules)


def told(found: Outcome) -> tuple[object, ...]:
    return (*gist(found), found.ends_at, found.critical) if isinstance(found, Allow) else gist(found)


@given(rules=some_rules, advice=some_advice, acr=some_acr, data=st.data())
def test_the_order_of_rules_never_matters(
    rules: tuple[str, ...], advice: Mapping[str, Advice], acr: str, data: st.DataObject
) -> None:
    shuffled = tuple(data.draw(st.permutations(rules)))
    assert told(outcome(policy_of(*rules), advice, acr=acr)) == told(outcome(policy_of(*shuffled), advice, acr=acr))


@given(rules=some_rules, advice=some_advice, acr=some_acr, decider=st.sampled_from(["opa", "pdp"]))
def test_no_silence_loosens_anything(
    rules: tuple[str, ...], advice: Mapping[str, Advice], acr: str, decider: str
) -> None:
    """Whatever is allowed although a decider is silent would be allowed on the same terms if it said yes."""
    made = policy_of(*rules)
    for silence in (GONE, WRONG, AWKWARD, UNKNOWN):
        silent = outcome(made, {**advice, decider: silence}, acr=acr)
        if isinstance(silent, Allow):
            spoken = outcome(made, {**advice, decider: YES}, acr=acr)
            assert isinstance(spoken, Allow)
            assert (silent.ends_at, silent.critical) == (spoken.ends_at, spoken.critical)


@given(rules=some_rules, advice=some_advice, acr=some_acr)
def test_who_is_allowed_has_a_yes_of_every_veto_and_of_some_rule(
    rules: tuple[str, ...], advice: Mapping[str, Advice], acr: str
) -> None:
    found = outcome(policy_of(*rules), advice, acr=acr)
    if isinstance(found, Allow):
        yes = {name for name, one in advice.items() if one is YES}
        assert VETO not in rules or "opa" in yes
        assert READERS in rules or yes


@pytest.mark.parametrize(
    ("unjudgeable", "changes"),
    [
        ("issuers: [corp], databases: ['*'], roles: ['*'], when: 'claims.level < 5'", {}),
        ("issuers: [corp], databases: ['*'], roles: ['{department}_ro']", {}),
        ("databases: ['*'], roles: ['*'], from: [10.0.0.0/8]", {"address": "somewhere"}),
    ],
)
def test_a_veto_that_cannot_be_judged_is_not_escaped(unjudgeable: str, changes: dict[str, Any]) -> None:
    """As a deny rule: it might have matched. But it is nobody's who is not let in by another rule."""
    veto = f"{{name: veto, {unjudgeable}, ask: {{all: [opa], veto: true}}}}"

    def judged(*rules: str) -> Outcome | Ask:
        return policy.evaluate(compiled(*rules), verified(), request(**changes), server="local", now=NOW, keys_age=1.0)

    found = judged(veto, READERS)
    assert isinstance(found, Deny)
    assert (found.reason, found.rule) == (Reason.POLICY_ERROR, "veto")
    alone = judged(veto)
    assert isinstance(alone, Deny)
    assert alone.reason is not Reason.POLICY_ERROR
    unheard = judged(veto.replace(", veto: true", ""), READERS)
    assert isinstance(unheard, policy.Allow)
