"""Rules about who acts for a person: what an agent gets, what it is told, and that no denial is escaped by acting."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pgbearer import policy
from pgbearer.policy import Allow, Deny, Policy
from pgbearer.policy.acting import asked_of_the_person
from pgbearer.policy.case_file import parse_cases
from pgbearer.policy.cases import Result, run_case
from pgbearer.policy.diff import compare
from pgbearer.policy.explanation import Explanation, explain_record
from pgbearer.policy.fields import Asked
from pgbearer.policy.recorded import question_of
from pgbearer.policy.who_can import who_can
from pgbearer.verified import Actor
from pgbearer.wire import Reason
from tests.unit.logins import READERS, ask, compiled, settings
from tests.unit.recorded_logins import recorded_outcome
from tests.unit.test_policy_properties import decide, login, policy_of, rules

NOTES, MAIL = Actor(name="notes"), Actor(name="mail", subject="mail-bot", carries=frozenset({"groups", "department"}))
AGENTS_READ = "{name: agents read, any_role: [db-read], databases: [appdb], roles: [app_readonly], actor: %s}"
WRITERS = "{name: writers, any_role: [db-read], databases: [appdb], roles: [app_readwrite]}"
LEAVERS = "{name: leavers, deny: true, any_group: [/leavers]}"


def reason(*written: str, **login_: Any) -> Reason:
    outcome = ask(compiled(*written), **login_)
    return Reason.ALLOWED if isinstance(outcome, Allow) else outcome.reason


@pytest.mark.parametrize(
    ("actor", "nobody", "notes", "mail"),
    [
        ("forbid", True, False, False),
        ("require", False, True, True),
        ("[notes]", False, True, False),
        ("[mail, notes]", False, True, True),
    ],
)
def test_whom_an_allow_rule_is_for(actor: str, nobody: bool, notes: bool, mail: bool) -> None:
    found = [reason(AGENTS_READ % actor, actor=one) is Reason.ALLOWED for one in (None, NOTES, MAIL)]
    assert found == [nobody, notes, mail]


def test_a_rule_that_says_nothing_is_for_people_and_a_denial_for_everybody() -> None:
    deny = "{name: none, deny: true, databases: [appdb]}"
    assert reason(READERS) is Reason.ALLOWED
    assert reason(READERS, actor=NOTES) is Reason.AGENT_NOT_ALLOWED
    assert reason(READERS, AGENTS_READ % "require", deny) is Reason.DENIED_BY_RULE
    assert reason(READERS, AGENTS_READ % "require", deny, actor=NOTES) is Reason.DENIED_BY_RULE


def test_a_denial_can_be_for_agents_alone() -> None:
    deny = "{name: no notes, deny: true, actor: [notes]}"
    rules_ = (READERS, AGENTS_READ % "require", deny)
    found = [reason(*rules_, actor=one) for one in (None, NOTES, MAIL)]
    assert found == [Reason.ALLOWED, Reason.DENIED_BY_RULE, Reason.ALLOWED]


def test_an_agent_gets_less_than_its_person() -> None:
    rules_ = (READERS, WRITERS, AGENTS_READ % "[notes]")
    assert reason(*rules_, role="app_readwrite") is Reason.ALLOWED
    assert reason(*rules_, role="app_readonly", actor=NOTES) is Reason.ALLOWED
    assert reason(*rules_, role="app_readwrite", actor=NOTES) is Reason.AGENT_NOT_ALLOWED


@pytest.mark.parametrize(
    ("written", "who", "why"),
    [
        ([READERS], NOTES, Reason.AGENT_NOT_ALLOWED),
        ([WRITERS], NOTES, Reason.NO_RULE),
        ([WRITERS, AGENTS_READ % "[notes]"], None, Reason.ROLE_NOT_ALLOWED),
        ([AGENTS_READ % "[notes]"], None, Reason.NO_RULE),
        ([AGENTS_READ % "[mail]"], NOTES, Reason.AGENT_NOT_ALLOWED),
    ],
)
def test_what_is_told(written: list[str], who: Actor | None, why: Reason) -> None:
    assert reason(*written, actor=who) is why


def test_conditions_know_who_acts_and_not_who_acted_before() -> None:
    rule = "{name: one, databases: [appdb], roles: [app_readonly], actor: require, when: '%s'}"
    chain = Actor(name="mail", subject="mail-bot", prior=("notes",))
    for condition, holds in (
        ("actor.present", True),
        ('actor.name == "mail"', True),
        ('actor.name == "notes"', False),
        ('actor.subject == "mail-bot"', True),
    ):
        assert (reason(rule % condition, actor=chain) is Reason.ALLOWED) is holds, condition
    alone = "{name: one, databases: [appdb], roles: [app_readonly], when: '%s'}"
    assert reason(alone % '!actor.present && actor.name == "" && actor.subject == ""') is Reason.ALLOWED


DENIALS: dict[str, tuple[dict[str, Any], str]] = {
    "any_group: [/leavers]": ({"groups": frozenset({"/leavers"})}, "groups"),
    "any_role: [intern]": ({"token_roles": frozenset({"db-read", "intern"})}, "token_roles"),
    "all_roles: [intern, db-read]": ({"token_roles": frozenset({"db-read", "intern"})}, "token_roles"),
    "any_organization: [evil]": ({"organizations": frozenset({"evil"})}, "organizations"),
    "roles_from: {claim: groups}": ({"groups": frozenset({"app_readonly"})}, "groups"),
    "when: '\"/leavers\" in token.groups'": ({"groups": frozenset({"/leavers"})}, "groups"),
    "when: '\"intern\" in token.roles'": ({"token_roles": frozenset({"db-read", "intern"})}, "token_roles"),
    "issuers: [corp], when: has(claims.department)": ({"claims": {"department": "hr"}}, "department"),
    "issuers: [corp], when: 'has(claims.level) && claims.level < 2'": ({"claims": {"level": 1}}, "level"),
}
"""A denial by something of the person; what the person's own token says; what ``carries`` calls it."""


@pytest.mark.parametrize("key", DENIALS)
def test_a_denial_is_not_escaped_by_leaving_out_what_it_asks_for(key: str) -> None:
    said, name = DENIALS[key]
    written = (READERS, AGENTS_READ % "require", f"{{name: never, deny: true, {key}}}")
    carrying = replace(NOTES, carries=frozenset({name}))
    assert reason(*written, **said) is Reason.DENIED_BY_RULE
    assert reason(*written, **said, actor=NOTES) is Reason.DENIED_BY_RULE
    assert reason(*written, claims={}, actor=NOTES) is Reason.AGENT_SAYS_TOO_LITTLE
    assert reason(*written, claims={}, actor=carrying) is Reason.ALLOWED
    assert reason(*written, claims={}) is Reason.ALLOWED


@pytest.mark.parametrize("elsewhere", ["databases: [payroll]", "roles: [app_readwrite]", "from: [192.168.0.0/16]"])
def test_a_denial_that_holds_elsewhere_keeps_no_agent_out(elsewhere: str) -> None:
    written = (AGENTS_READ % "require", f"{{name: never, deny: true, any_group: [/leavers], {elsewhere}}}")
    assert reason(*written, actor=NOTES) is Reason.ALLOWED


@pytest.mark.parametrize(
    ("condition", "asked"),
    [
        (None, set()),
        ("request.role == 'x' && token.client == 'y' && actor.present", set()),
        (
            "'a' in token.groups || 'b' in token.roles || 'c' in token.organizations",
            {"groups", "token_roles", "organizations"},
        ),
        ("has(claims.acr) || claims.level > 2", {"acr", "level"}),
    ],
)
def test_what_a_condition_asks_of_the_person(condition: str | None, asked: set[str]) -> None:
    assert asked_of_the_person(condition) == asked


def denied(rules_: Policy, asked: Asked) -> bool:
    """Whether a deny rule, all that there is, refuses."""
    outcome = decide(rules_, asked)
    assert isinstance(outcome, Deny)
    return outcome.reason is not Reason.NO_RULE


@given(st.lists(rules(deny=True), min_size=1, max_size=3), login(), st.data())
@hypothesis_settings(max_examples=300, deadline=None)
def test_no_denial_is_escaped_by_acting(written: list[dict[str, Any]], asked: Asked, data: st.DataObject) -> None:
    """Whatever an exchange leaves out of what the person's token says, whom the rules deny is denied with an agent."""
    rules_ = policy_of(written)
    assume(denied(rules_, asked))
    person = asked.verified
    left = replace(
        person,
        token_roles=data.draw(_part(person.token_roles)),
        groups=data.draw(_part(person.groups)),
        organizations=data.draw(_part(person.organizations)),
        claims={name: person.claims[name] for name in data.draw(_part(frozenset(person.claims)))},
        client="notes-tools",
        actor=NOTES,
    )
    assert denied(rules_, replace(asked, verified=left))


def _part(whole: frozenset[str]) -> st.SearchStrategy[frozenset[str]]:
    return st.sets(st.sampled_from(sorted(whole))).map(frozenset) if whole else st.just(frozenset())


def explained(*written: str, **login_: Any) -> Explanation:
    rules_ = compiled(*written)
    return explain_record(recorded_outcome(rules_, **login_), rules_, "f" * 64, settings().issuers)


def test_explain_shows_the_chain_and_what_would_have_to_change() -> None:
    chain = Actor(name="notes", prior=("planner", "assistant"))
    told = explained(READERS, actor=chain)
    assert told.verdict.reason == "agent_not_allowed"
    (subject,) = (step.saw for step in told.steps if step.step == "subject")
    assert subject == "corp:4f7c, for whom the agent notes <- planner <- assistant acts"
    (key,) = (key for key in told.rules[0].keys if key.key == "actor")
    assert key.wants == "the person, with nobody acting"
    assert key.has == "the agent notes acts for the person, and before it assistant and planner"
    (change,) = told.changes
    assert change == (
        'So that the rule "readers" matches: Log in as the person, without an agent; or write a rule with '
        "`actor: [notes]` that gives the agent what it needs."
    )


def test_explain_says_what_an_agent_does_not_say() -> None:
    told = explained(AGENTS_READ % "[notes]", LEAVERS, actor=NOTES)
    assert told.verdict.reason == "agent_says_too_little"
    assert told.changes == (Reason.AGENT_SAYS_TOO_LITTLE.remedy,)
    (key,) = (key for key in told.rules[0].keys if key.key == "carries")
    assert "the agent's tokens are sure to say nothing of the person in full" in key.has
    assert "the tokens of the agent 'notes' need not say all groups of the person" in key.has


def test_a_recorded_decision_of_an_agents_can_be_made_again() -> None:
    chain = Actor(name="mail", subject="mail-bot", prior=("notes",), carries=frozenset({"groups"}))
    assert question_of(recorded_outcome(compiled(AGENTS_READ % "[mail]"), actor=chain)).verified.actor == chain


CASES = """\
version: 1
defaults:
  token: {issuer: corp, roles: [db-read]}
  request: {server: local, database: appdb, role: app_readonly, time: 2027-01-15T08:00:00Z}
cases:
"""


def run(case: str, *written: str) -> Result:
    cases = parse_cases(f"{CASES}  - {case}\n", "cases.yaml")
    return run_case(compiled(*written), settings(), cases, 0, "cases.yaml")


@pytest.mark.parametrize(
    "case",
    [
        "{name: x, token: {actor: notes}, expect: {decision: allow, rules: [agents read]}}",
        "{name: x, token: {client: notes-tools}, expect: {decision: allow, rules: [agents read]}}",
        "{name: x, token: {actor: notes, prior_actors: [mail]}, expect: {decision: allow}}",
        "{name: x, token: {actor: mail}, expect: {decision: deny, reason: agent_not_allowed}}",
        "{name: x, expect: {decision: allow, rules: [readers]}}",
    ],
)
def test_cases_know_who_acts(case: str) -> None:
    result = run(case, READERS, AGENTS_READ % "[notes]")
    assert result.passed, result


def test_cases_know_what_an_agent_carries() -> None:
    case = "{name: x, token: {actor: %s}, expect: {decision: %s}}"
    written = (AGENTS_READ % "require", LEAVERS)
    assert run(case % ("mail", "allow"), *written).passed
    assert run(case % ("notes", "deny, reason: agent_says_too_little"), *written).passed


@pytest.mark.parametrize(
    ("actor", "who"),
    [
        ("forbid", "token role db-read"),
        ("require", "token role db-read, through an agent"),
        ("[notes]", "token role db-read, agent notes"),
        ("[notes, mail]", "token role db-read, agent mail or notes"),
    ],
)
def test_who_can_tells_people_from_agents(actor: str, who: str) -> None:
    assert [way.who for way in who_can(settings(AGENTS_READ % actor), "app_readonly", "appdb").ways] == [who]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("forbid", "[notes]", [("gains", "agent notes"), ("loses", "")]),
        ("[notes]", "[notes, mail]", [("gains", "agent mail")]),
        ("[notes]", "require", [("gains", "through an agent")]),
        ("require", "[notes]", [("loses", "through an agent")]),
        ("require", "forbid", [("gains", ""), ("loses", "through an agent")]),
    ],
)
def test_a_change_of_who_may_act_is_a_difference(old: str, new: str, expected: list[tuple[str, str]]) -> None:
    changes = compare(settings(AGENTS_READ % old), settings(AGENTS_READ % new))
    found = [(change.kind, change.who.removeprefix("token role db-read").removeprefix(", ")) for change in changes]
    assert found == expected


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("roles: [app_readonly], privileged: true", "an agent may be given a privileged role"),
        ("roles: [app_readonly], replication: [logical]", "an agent may copy the database"),
        ("roles_from: {claim: groups}", "an agent gets every role that the token names"),
        ("roles: ['*']", "an agent gets any role for the asking"),
        ("roles: [app_readonly], session: {until: sso}", "the session of an agent goes on after the token"),
        ("roles: [app_readonly]", "the session of an agent goes on after the token"),
    ],
)
def test_an_agent_that_gets_as_much_as_its_person_is_told_of(rule: str, message: str) -> None:
    written = f"{{name: one, any_role: [db-read], databases: [appdb], {rule}%s}}"
    assert any(message in one for one in _told(written % ", actor: [notes]"))
    assert not any("agent" in one for one in _told(written % ""))


@pytest.mark.parametrize("key", DENIALS)
def test_an_agent_that_a_denial_refuses_for_its_silence_is_told_of(key: str) -> None:
    denial = f"{{name: never, deny: true, {key}}}"
    told = _told(AGENTS_READ % "[notes]", denial)
    (found,) = (one for one in told if 'refuses the agent "notes" too' in one)
    assert f"its tokens need not say {DENIALS[key][1]}" in found
    assert not any("refuses the agent" in one for one in _told(READERS, denial))


def test_an_agent_that_gets_little_and_for_minutes_is_not_told_of() -> None:
    assert not _told((AGENTS_READ % "[notes]").replace("}", ", session: {until: token}}"))


def test_what_an_agent_carries_is_not_told_of() -> None:
    assert not any("refuses the agent" in one for one in _told(AGENTS_READ % "[mail]", LEAVERS))
    assert any('refuses the agent "notes"' in one for one in _told(AGENTS_READ % "require", LEAVERS))


def _told(*written: str) -> list[str]:
    return [problem.message for problem in policy.compile(settings(*written)).problems]


def test_lints_tell_agents_from_people() -> None:
    wide = "{name: wide, databases: ['*'], roles: ['*'], any_role: [db-read]}"
    for rule in (wide, "{name: never, deny: true, actor: [mail]}"):
        problems = policy.compile(settings(rule, AGENTS_READ % "[notes]")).problems
        assert not [one for one in problems if "rule" in one.message], problems
    never = "{name: never, deny: true, actor: require}"
    (problem,) = (p for p in policy.compile(settings(never, AGENTS_READ % "[notes]")).problems if "never" in p.message)
    assert 'the deny rule "never" refuses all it matches' in problem.message
