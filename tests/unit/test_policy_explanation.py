"""Explanations, by table: what stood in the way of a login, and that doing what they say lets it in."""

from typing import Any

import pytest

from pgbearer.policy.explanation import Explanation, RuleExplained, explain_record
from pgbearer.policy.match import KEYS
from pgbearer.policy.recorded import RecordError
from pgbearer.policy.source import names_in
from pgbearer.policy.steps import RULE_REASONS, STAGES, STILL_GOOD
from pgbearer.policy.words import WORDS
from pgbearer.tokens.profiles import PROFILES
from pgbearer.wire import Hba, Reason, Replication, RoleAttributes
from tests.unit.logins import READERS, ask, compiled, settings
from tests.unit.recorded_logins import recorded, recorded_outcome

WRITERS = "{name: writers, any_role: [db-write], databases: [appdb], roles: [app_readwrite]}"
LEAVERS = "{name: leavers, deny: true, any_group: [/leavers], ticket: HR-7}"
DIGEST = "f" * 64


def explained(*rules: str, policy: str = DIGEST, **login: Any) -> Explanation:
    """Log in under `rules`, and explain it by them."""
    return explain_record(recorded_outcome(compiled(*rules), **login), compiled(*rules), policy, settings().issuers)


def nearest(explanation: Explanation) -> RuleExplained:
    return explanation.rules[0]


@pytest.mark.parametrize(
    ("key", "login", "wants", "has", "change"),
    [
        ("any_role: [dba, ops]", {}, "the token role dba or ops", "roles: db-read", "give alice the role dba or ops"),
        ("all_roles: [db-read, dba]", {}, "the token roles db-read and dba", "roles: db-read", "the role dba;"),
        ("any_group: [/dba]", {}, "the token group /dba", "groups: /staff", "put alice into the group /dba"),
        ("any_organization: [acme]", {}, "the organization acme", "organizations: none", "alice a member of acme"),
        ("servers: [pay-eu]", {}, "server pay-eu", "server local asked", "add local to `servers`"),
        ("issuers: [batch]", {}, "a token of issuer batch", "of issuer corp", "Log in at batch"),
        ("from: [192.168.0.0/16]", {}, "in 192.168.0.0/16", "at 10.1.2.3", "Connect from 192.168.0.0/16"),
        ("from: [10.0.0.0/8]", {"address": None}, "in 10.0.0.0/8", "a Unix socket", "Connect from 10.0.0.0/8"),
        ("expires: 2027-01-14", {}, "up to 2027-01-14", "it was 2027-01-15", "a later `expires`"),
        ("replication: [logical]", {}, "a logical replication", "an ordinary connection", "for replication"),
        (
            "issuers: [corp], when: claims.acr == 'otp'",
            {},
            "claims.acr == 'otp'",
            "claims.acr = 'mfa'",
            "it read claims.acr = 'mfa'",
        ),
        (
            "issuers: [corp], when: claims.level > 2 && request.time.getHours() < 7",
            {"claims": {"level": 3}},
            "claims.level > 2",
            "claims.level = 3, request.time = 2027-01-15 08:00:00 UTC",
            "must become true",
        ),
        (
            "issuers: [corp], when: claims.department == 'hr'",
            {},
            "claims.department == 'hr'",
            'claims.department = (not in the token); it cannot be judged: the token has no claim "department"',
            "must become true",
        ),
    ],
)
def test_the_key_that_does_not_hold_is_named(
    key: str, login: dict[str, Any], wants: str, has: str, change: str
) -> None:
    explanation = explained(f"{{name: one, databases: [appdb], roles: [app_readonly], {key}}}", **login)
    unmet = nearest(explanation).unmet
    assert [one.key for one in unmet] == [key.partition(":")[0] if "when" not in key else "when"]
    assert wants in unmet[0].wants
    assert has in unmet[0].has
    (line,) = explanation.changes
    assert line.startswith('So that the rule "one" matches: ')
    assert change in line


@pytest.mark.parametrize(
    ("login", "key", "change"),
    [
        ({"database": "payroll"}, "databases", "Connect to appdb, or add payroll to `databases`"),
        ({"role": "app_owner"}, "roles", "Connect as app_readonly, or add app_owner to `roles`"),
        ({"replication": Replication.LOGICAL}, "replication", "Connect without replication"),
        ({"role_attributes": RoleAttributes(exists=True, createdb=True)}, "privileged", "Connect as an ordinary role"),
    ],
)
def test_what_was_asked_can_be_what_does_not_hold(login: dict[str, Any], key: str, change: str) -> None:
    explanation = explained(READERS, **login)
    assert [one.key for one in nearest(explanation).unmet] == [key]
    assert change in explanation.changes[0]


def test_the_rule_for_that_role_is_nearer_than_others_for_the_person() -> None:
    explanation = explained(READERS, WRITERS, role="app_readwrite")
    assert [one.rule for one in explanation.rules] == ["writers", "readers"]
    assert 'alice may have app_readonly in appdb now, by the rule "readers".' in explanation.notes


@pytest.mark.parametrize(("token_roles", "may"), [({"pg:team_a", "pg:team_b"}, "team_a or team_b"), (set(), None)])
def test_roles_that_the_token_names_are_told_and_no_others(token_roles: set[str], may: str | None) -> None:
    rule = "{name: teams, databases: [appdb], roles_from: {claim: token_roles, strip: 'pg:'}}"
    explanation = explained(rule, role="team_c", token_roles=frozenset(token_roles))
    told = f'alice may have {may} in appdb now, by the rule "teams".'
    assert (told in explanation.notes) == (may is not None)
    assert any("may have" in note for note in explanation.notes) == (may is not None)
    assert 'add "pg:team_c" to token_roles of alice' in explanation.changes[0]


def test_several_keys_must_all_be_met() -> None:
    explanation = explained(
        "{name: one, any_role: [dba], any_group: [/dba], databases: [appdb], roles: [app_readonly]}"
    )
    assert explanation.changes[0] == 'So that the rule "one" matches, all of these:'
    assert len(explanation.changes) == 3


def test_what_it_says_to_change_is_enough() -> None:
    rules = (READERS, LEAVERS)
    assert "give alice the role db-read" in explained(*rules, token_roles=frozenset()).changes[0]
    assert ask(compiled(*rules), token_roles=frozenset({"db-read"})).considered
    assert explained(*rules, token_roles=frozenset({"db-read"})).verdict.decision == "allow"


def test_a_deny_rule_says_how_not_to_match_and_what_is_still_needed() -> None:
    explanation = explained(READERS, LEAVERS, groups=frozenset({"/leavers"}), token_roles=frozenset())
    assert explanation.verdict.reason == "denied_by_rule"
    assert (nearest(explanation).rule, nearest(explanation).ticket) == ("leavers", "HR-7")
    assert "take alice out of the group /leavers" in explanation.changes[0]
    assert explanation.changes[1] == "Then some rule must still allow it."
    assert "give alice the role db-read" in explanation.changes[2]


def test_a_deny_rule_that_cannot_be_judged_is_named() -> None:
    rule = "{name: hr, deny: true, issuers: [corp], when: claims.department == 'hr'}"
    explanation = explained(READERS, rule)
    assert explanation.verdict.reason == "policy_error"
    assert nearest(explanation).rule == "hr"
    assert any("department" in change for change in explanation.changes)


def test_a_deny_rule_for_everybody_can_only_be_changed() -> None:
    explanation = explained(READERS, "{name: closed, deny: true, databases: [appdb]}")
    assert explanation.changes == ('The deny rule "closed" is for everybody who asks for this: change the rule.',)


def test_a_tier_that_was_not_reached_shows_the_rule_that_asks_for_it() -> None:
    rule = "{name: one, issuers: [corp], databases: [appdb], roles: [app_readonly], tier: critical}"
    explanation = explained(rule, auth_time=None)
    reason = next(reason for reason in Reason if reason.value == explanation.verdict.reason)
    assert [step.step for step in explanation.steps if step.outcome == "failed"] == ["tier"]
    assert (nearest(explanation).rule, nearest(explanation).matched) == ("one", True)
    assert explanation.changes == (reason.remedy,)
    changed = explain_record(
        recorded_outcome(compiled(rule), auth_time=None),
        compiled(rule.replace("critical", "normal")),
        "e" * 64,
        settings().issuers,
    )
    assert changed.now is not None
    assert changed.now.decision == "allow"


def test_an_empty_policy_has_no_nearest_rule() -> None:
    explanation = explained()
    assert explanation.rules == ()
    assert explanation.changes == ("Write a rule that allows this; the policy has none that allows anything.",)


def test_an_allowed_login_needs_no_change() -> None:
    explanation = explained(READERS)
    assert explanation.verdict.decision == "allow"
    assert explanation.changes == ()
    assert explanation.now is None
    assert {step.outcome for step in explanation.steps} == {"passed"}


def test_rules_that_came_less_near_are_only_counted() -> None:
    rules = [f"{{name: r{at}, any_role: [x], databases: [d{at}], roles: [r]}}" for at in range(20)]
    explanation = explained(*rules)
    assert len(explanation.rules) == 5
    assert explanation.rules_total == 20


def test_a_policy_that_changed_is_said_to_have_changed() -> None:
    entry = recorded_outcome(compiled(WRITERS))
    explanation = explain_record(entry, compiled(READERS), "e" * 64, settings().issuers)
    assert explanation.verdict.decision == "deny"
    assert explanation.now is not None
    assert (explanation.now.decision, explanation.now.rules) == ("allow", ("readers",))
    assert any("ffffffffffff then, eeeeeeeeeeee now" in note for note in explanation.notes)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.ALLOWED])
def test_every_reason_belongs_to_one_step(reason: Reason) -> None:
    assert sum(reason in stage.reasons for stage in STAGES) == 1


@pytest.mark.parametrize(
    "reason", [reason for reason in Reason if reason is not Reason.ALLOWED and reason not in RULE_REASONS]
)
def test_a_refusal_before_the_rules_says_what_to_do(reason: Reason) -> None:
    entry = recorded(None, reason=reason)
    explanation = explain_record(entry, compiled(READERS), DIGEST, settings().issuers)
    assert explanation.changes == (reason.remedy,)
    outcomes = [step.outcome for step in explanation.steps if step.step != "record"]
    if reason is not Reason.AUDIT_UNAVAILABLE:
        at = outcomes.index("failed")
        assert set(outcomes[:at]) <= {"passed"}
        assert set(outcomes[at + 1 :]) <= {"not reached"}


@pytest.mark.parametrize(
    "entry", [{"reason": "nonesuch"}, {}, {"reason": ["no_rule"]}], ids=["unknown", "none", "a list"]
)
def test_what_is_no_record_is_not_explained(entry: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        explain_record(entry, compiled(READERS), DIGEST, settings().issuers)


def test_a_record_without_facts_is_explained_as_far_as_it_goes() -> None:
    entry = recorded_outcome(compiled(READERS), role="app_owner")
    del entry["facts"]
    explanation = explain_record(entry, compiled(READERS), DIGEST, settings().issuers)
    assert explanation.rules == ()
    assert any("cannot be asked again" in note for note in explanation.notes)


def test_every_key_of_a_rule_has_its_words() -> None:
    assert set(WORDS) == {key for key, _ in KEYS} | {"ask", "fallback"}


def test_what_a_client_wrote_is_quoted() -> None:
    explanation = explained(READERS, display="eve\x1b[2J", token_roles=frozenset())
    assert "give 'eve\\x1b[2J' the role" in explanation.changes[0]


@pytest.mark.parametrize(
    ("hba", "opened"),
    [
        ("https://sso.example.com/realms/corp", False),
        ("https://sso.example.com/realms/corp/.well-known/openid-configuration", False),
        ("https://sso.example.com/.well-known/oauth-authorization-server/realms/corp", False),
        ("https://sso.example.com/realms/other", True),
        ("https://sso.example.com/realms/corp2", True),
    ],
)
def test_a_login_behind_another_issuers_line_says_so(hba: str, opened: bool) -> None:
    hba_line = Hba(issuer=hba, scopes=(), delegate=True, map=None)
    entry = recorded_outcome(compiled(READERS), hba=hba_line, issuer_url="https://sso.example.com/realms/corp")
    explanation = explain_record(entry, compiled(READERS), DIGEST, settings().issuers)
    (issuer,) = (step for step in explanation.steps if step.step == "issuer")
    assert issuer.saw.endswith("behind which it is opened to appdb") is opened


@pytest.mark.parametrize("reason", sorted(STILL_GOOD.reasons))
def test_what_the_issuer_refuses_for_the_critical_tier_comes_after_the_rules(reason: Reason) -> None:
    early = recorded(None, reason=reason)
    late = recorded_outcome(compiled(READERS)) | {"reason": reason.value}
    for entry, rules in ((early, "not reached"), (late, "passed")):
        explanation = explain_record(entry, compiled(READERS), DIGEST, settings().issuers)
        outcomes = {step.step: step.outcome for step in explanation.steps}
        assert (outcomes["confirmed"], outcomes["rules"], outcomes["record"]) == ("failed", rules, "passed")


@pytest.mark.parametrize("profile", PROFILES)
def test_where_roles_are_by_default_is_what_tokens_are_verified_by(profile: Any) -> None:
    from pgbearer.policy import explanation

    assert explanation._ROLES_BY_PROFILE[profile] == PROFILES[profile].token_roles


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("claims.acr == 'mfa'", ("claims.acr",)),
        (
            "request.time.getHours('UTC') > 7 && request.role != request.database",
            ("request.time", "request.role", "request.database"),
        ),
        ("has(claims.acr) && claims.acr.matches('^claims.x$')", ("claims.acr",)),
        ("token.roles.exists(r, r == 'x')", ("token.roles",)),
        ("'token.roles' in token.groups // claims.x", ("token.groups",)),
        ("true", ()),
    ],
)
def test_names_in_a_condition(condition: str, names: tuple[str, ...]) -> None:
    assert names_in(condition) == names


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        ({"peer_uid": 26, "peer_certificate": None}, "server pay-eu, known by the uid of its process, 26"),
        ({"peer_uid": 26}, "server pay-eu, known by the uid of its process, 26"),
        ({"peer_uid": None, "peer_certificate": "db.test"}, "server pay-eu, known by its certificate, db.test"),
    ],
)
def test_the_server_that_asked_is_shown_by_what_it_is_known_by(peer: dict[str, Any], said: str) -> None:
    (caller,) = (stage for stage in STAGES if stage.name == "caller")
    assert caller.saw({"server": "pay-eu", **peer}) == said
