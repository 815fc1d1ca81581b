"""Decisions, by table: which reason a change to the token, the request or the rules leads to."""

from typing import Any

import pytest

from pgbearer import policy
from pgbearer.policy import Allow, Deny
from pgbearer.wire import Reason, Replication, RoleAttributes
from tests.unit.logins import NOW, READERS, ask, compiled, request, verified

MIDNIGHT = NOW + 16 * 3600
"""The end of 2027-01-15, UTC."""
SUPERUSER = RoleAttributes(exists=True, superuser=True)
LEAVERS = "{name: leavers, deny: true, any_group: [/leavers]}"


def refused(*rules: str, **changes: Any) -> Reason:
    outcome = ask(compiled(*rules), **changes)
    assert isinstance(outcome, Deny), outcome
    return outcome.reason


def allowed(*rules: str, **changes: Any) -> Allow:
    outcome = ask(compiled(*rules), **changes)
    assert isinstance(outcome, Allow), outcome
    return outcome


def test_a_matching_rule_allows() -> None:
    outcome = allowed(READERS)
    assert outcome.identity == "corp:4f7c"
    assert outcome.rules == ("readers",)
    assert outcome.ends_at == NOW + 36000
    assert outcome.claims == {"acr": "mfa"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token_roles": frozenset()}, Reason.NO_RULE),
        ({"database": "payroll"}, Reason.NO_RULE),
        ({"database": "AppDB"}, Reason.NO_RULE),
        ({"role": "app_readwrite"}, Reason.ROLE_NOT_ALLOWED),
        ({"role": "App_ReadOnly"}, Reason.ROLE_NOT_ALLOWED),
        ({"role": "app_readonly "}, Reason.ROLE_NOT_ALLOWED),
        ({"role": "app_readonl\u0443"}, Reason.ROLE_NOT_ALLOWED),
        ({"role": "app_readwrite", "token_roles": frozenset()}, Reason.NO_RULE),
        ({"role": ""}, Reason.NAME_NOT_EXPRESSIBLE),
        ({"role": "r" * 64}, Reason.NAME_NOT_EXPRESSIBLE),
        ({"role": "\u00e9" * 32}, Reason.NAME_NOT_EXPRESSIBLE),
        ({"role": "app_readonly\0"}, Reason.NAME_NOT_EXPRESSIBLE),
        ({"database": "d" * 64}, Reason.NAME_NOT_EXPRESSIBLE),
        ({"role_attributes": RoleAttributes(exists=False)}, Reason.ROLE_UNKNOWN),
        ({"role_attributes": SUPERUSER}, Reason.ROLE_PRIVILEGED),
        ({"role_attributes": RoleAttributes(exists=True, createrole=True)}, Reason.ROLE_PRIVILEGED),
        ({"role_attributes": RoleAttributes(exists=True, createdb=True)}, Reason.ROLE_PRIVILEGED),
        ({"role_attributes": RoleAttributes(exists=True, replication=True)}, Reason.ROLE_PRIVILEGED),
        ({"role_attributes": RoleAttributes(exists=True, bypassrls=True)}, Reason.ROLE_PRIVILEGED),
        (
            {"role_attributes": RoleAttributes(exists=True, member_of=frozenset({"pg_write_server_files"}))},
            Reason.ROLE_PRIVILEGED,
        ),
        ({"replication": Replication.LOGICAL}, Reason.REPLICATION_NOT_ALLOWED),
        ({"replication": Replication.PHYSICAL, "database": ""}, Reason.REPLICATION_NOT_ALLOWED),
        ({"groups": frozenset({"/leavers"})}, Reason.DENIED_BY_RULE),
        ({"groups": frozenset({"/leavers"}), "role": "app_readwrite"}, Reason.DENIED_BY_RULE),
        ({"groups": frozenset({"/leavers"}), "replication": Replication.PHYSICAL}, Reason.DENIED_BY_RULE),
    ],
)
def test_what_is_not_allowed_is_refused(changes: dict[str, Any], reason: Reason) -> None:
    assert refused(READERS, LEAVERS, **changes) == reason


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("servers: [pay-eu]", {"server": "local"}),
        ("issuers: [batch]", {}),
        ("all_roles: [db-read, db-audit]", {}),
        ("any_group: [/dba]", {}),
        ("any_organization: [acme]", {}),
        ("any_organization: [acme]", {"organizations": frozenset({"ACME", "acme2"})}),
        ("from: [192.168.0.0/16]", {}),
        ("from: [10.0.0.0/8]", {"address": None}),
        ("from: ['::/0']", {}),
        ("from: [10.0.0.0/8]", {"address": "not numeric"}),
        ("expires: 2027-01-14", {}),
        ("issuers: [corp], when: claims.acr == 'pwd'", {}),
        ("issuers: [corp], when: claims.department == 'hr'", {}),
    ],
)
def test_every_key_must_hold(key: str, changes: dict[str, Any]) -> None:
    rule = f"{{name: one, any_role: [db-read], databases: [appdb], roles: [app_readonly], {key}}}"
    assert refused(rule, **changes) == Reason.NO_RULE


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("servers: [pay-eu]", {"server": "pay-eu"}),
        ("issuers: [corp]", {}),
        ("all_roles: [db-read, db-audit]", {"token_roles": frozenset({"db-read", "db-audit", "other"})}),
        ("any_group: [/dba, /staff]", {}),
        ("any_organization: [other, acme]", {"organizations": frozenset({"acme"})}),
        ("when: '\"acme\" in token.organizations'", {"organizations": frozenset({"acme"})}),
        ("from: [192.168.0.0/16, 10.0.0.0/8]", {}),
        ("from: [10.0.0.0/8]", {"address": "::ffff:10.1.2.3"}),
        ("from: ['fe80::/10']", {"address": "fe80::1%eth0"}),
        ("expires: 2027-01-15", {}),
        ("issuers: [corp], when: claims.acr == 'mfa'", {}),
    ],
)
def test_a_rule_allows_when_its_keys_hold(key: str, changes: dict[str, Any]) -> None:
    allowed(f"{{name: one, any_role: [db-read], databases: [appdb], roles: [app_readonly], {key}}}", **changes)


@pytest.mark.parametrize(
    ("databases", "roles", "ok"),
    [
        ("['*']", "['*']", True),
        ("['app*']", "['app_*']", True),
        ("['app??']", "['*only']", True),
        ("['app?']", "['*']", False),
        ("['APP*']", "['*']", False),
        ("['[a]ppdb']", "['*']", False),
        ("['appd[b]']", "['app_readonly']", False),
        ("['a.*']", "['*']", False),
        ("['x', 'appdb']", "['y', 'app_readonly']", True),
    ],
)
def test_globs_have_two_wildcards_and_fold_nothing(databases: str, roles: str, ok: bool) -> None:
    outcome = ask(compiled(f"{{name: one, databases: {databases}, roles: {roles}}}"))
    assert isinstance(outcome, Allow if ok else Deny)


class TestRolesFromTheToken:
    RULE = "{name: teams, databases: [appdb], roles_from: {claim: token_roles, strip: 'pg:'}}"

    def test_the_token_names_the_role(self) -> None:
        allowed(self.RULE, token_roles=frozenset({"pg:app_readonly"}))

    @pytest.mark.parametrize("role", ["app_readonly", "PG:app_readonly", "pg:app_*", "pg:*", "pg:", "xpg:app_readonly"])
    def test_only_the_exact_name_after_the_prefix_counts(self, role: str) -> None:
        assert refused(self.RULE, token_roles=frozenset({role})) in {Reason.NO_RULE, Reason.ROLE_NOT_ALLOWED}

    def test_a_token_that_names_another_role_is_told_so(self) -> None:
        assert refused(self.RULE, token_roles=frozenset({"pg:other"})) == Reason.ROLE_NOT_ALLOWED

    def test_a_token_that_names_no_role_matches_no_rule(self) -> None:
        assert refused(self.RULE, token_roles=frozenset({"offline_access"})) == Reason.NO_RULE

    @pytest.mark.parametrize("name", ["a#b", "a,b", "a b", "r\u00f6le", "x:y", "-a", "a\n"])
    def test_a_value_that_could_be_more_than_a_name_is_refused(self, name: str) -> None:
        assert refused(self.RULE, token_roles=frozenset({f"pg:{name}"}), role=name) == Reason.NAME_NOT_EXPRESSIBLE

    def test_organizations_can_name_roles(self) -> None:
        rule = "{name: one, databases: [appdb], roles_from: {claim: organizations}}"
        allowed(rule, organizations=frozenset({"app_readonly"}))
        assert refused(rule) == Reason.NO_RULE

    @pytest.mark.parametrize("value", ["app_readonly", ("other", "app_readonly")])
    def test_a_declared_claim_can_name_roles(self, value: Any) -> None:
        claim = "department" if isinstance(value, str) else "teams"
        rule = f"{{name: one, issuers: [corp], databases: [appdb], roles_from: {{claim: {claim}}}}}"
        allowed(rule, claims={claim: value})
        assert refused(rule, claims={}) == Reason.NO_RULE

    def test_a_privileged_role_is_never_given_by_the_token(self) -> None:
        rule = "{name: teams, privileged: true, databases: [appdb], roles: [x], roles_from: {claim: token_roles}}"
        changes = {"token_roles": frozenset({"postgres"}), "role": "postgres"}
        assert refused(rule, **changes, role_attributes=SUPERUSER) == Reason.ROLE_PRIVILEGED


class TestTemplates:
    RULE = "{name: own, issuers: [corp], databases: ['db_{department}'], roles: ['u_{sub}']}".replace(
        "claims_", "department"
    )

    def test_substituted_values_make_an_exact_name(self) -> None:
        allowed(self.RULE, claims={"department": "hr"}, database="db_hr", role="u_4f7c")
        assert (
            refused(self.RULE, claims={"department": "hr"}, database="db_hr", role="u_4f7d") == Reason.ROLE_NOT_ALLOWED
        )
        assert (
            refused(self.RULE, claims={"department": "*"}, database="db_hr", role="u_4f7c")
            == Reason.NAME_NOT_EXPRESSIBLE
        )

    def test_a_claim_may_be_called_as_in_conditions(self) -> None:
        rule = "{name: team, issuers: [corp], databases: [appdb], roles: ['team_{claims.department}']}"
        allowed(rule, claims={"department": "hr"}, role="team_hr")
        for role in ("team_HR", "team_", "team_hr2", "team_{claims.department}"):
            assert refused(rule, claims={"department": "hr"}, role=role) == Reason.ROLE_NOT_ALLOWED

    def test_a_token_without_the_claim_matches_nothing(self) -> None:
        assert refused(self.RULE, claims={}, database="db_hr", role="u_4f7c") == Reason.NO_RULE

    def test_a_deny_rule_that_cannot_be_judged_denies(self) -> None:
        deny = "{name: not hr, deny: true, issuers: [corp], databases: ['{department}']}"
        assert refused(READERS, deny, claims={}) == Reason.POLICY_ERROR
        assert refused(READERS, deny, claims={"department": "a b"}) == Reason.NAME_NOT_EXPRESSIBLE
        allowed(READERS, deny, claims={"department": "hr"})


class TestDenyRules:
    @pytest.mark.parametrize(
        "key",
        [
            "",
            "databases: [appdb]",
            "roles: ['app_*']",
            "from: [10.0.0.0/8]",
            "issuers: [corp], when: claims.acr == 'mfa'",
        ],
    )
    def test_deny_wins_wherever_it_stands(self, key: str) -> None:
        deny = f"{{name: never, deny: true{', ' if key else ''}{key}}}"
        assert refused(READERS, deny) == refused(deny, READERS) == Reason.DENIED_BY_RULE

    @pytest.mark.parametrize(
        "when",
        ["claims.department == 'hr'", "1 / (claims.level - 1) > 0", "claims.teams[3] == 'x'", "int(claims.acr) > 3"],
    )
    def test_a_condition_that_fails_in_a_deny_rule_denies_and_in_an_allow_rule_does_not_allow(self, when: str) -> None:
        claims = {"acr": "mfa", "level": 1, "teams": ("a",)}
        deny = f'{{name: never, deny: true, issuers: [corp], when: "{when}"}}'
        outcome = ask(compiled(READERS, deny), claims=claims)
        assert isinstance(outcome, Deny)
        assert (outcome.reason, outcome.rule) == (Reason.POLICY_ERROR, "never")
        allow = f'{{name: always, issuers: [corp], databases: [appdb], roles: [app_readonly], when: "{when}"}}'
        outcome = ask(compiled(allow), claims=claims)
        assert isinstance(outcome, Deny)
        assert outcome.reason == Reason.NO_RULE
        assert outcome.considered[0].error == Reason.POLICY_ERROR, "it is recorded"

    def test_a_rule_that_matches_is_named_before_one_that_fails(self) -> None:
        broken = "{name: a, deny: true, issuers: [corp], when: \"claims.department == 'hr'\"}"
        outcome = ask(compiled(broken, "{name: b, deny: true}"))
        assert isinstance(outcome, Deny)
        assert (outcome.reason, outcome.rule) == (Reason.DENIED_BY_RULE, "b")

    def test_physical_replication_reads_every_database_so_a_rule_for_one_denies_it(self) -> None:
        allow = "{name: standby, roles: [app_readonly], replication: [physical]}"
        changes: dict[str, Any] = {"replication": Replication.PHYSICAL, "database": ""}
        allowed(allow, **changes)
        assert refused(allow, "{name: never, deny: true, databases: [payroll]}", **changes) == Reason.DENIED_BY_RULE


class TestPrivilegeAndReplication:
    RULE = "{name: dba, databases: ['*'], roles: [postgres, 'app_*'], privileged: true}"

    def test_a_privileged_role_must_be_named_exactly(self) -> None:
        allowed(self.RULE, role="postgres", role_attributes=SUPERUSER)
        assert refused(self.RULE, role="app_admin", role_attributes=SUPERUSER) == Reason.ROLE_PRIVILEGED
        allowed(self.RULE, role="app_admin")

    @pytest.mark.parametrize("kind", [Replication.LOGICAL, Replication.PHYSICAL, Replication.NONE])
    def test_a_rule_for_replication_is_for_the_kinds_it_names(self, kind: Replication) -> None:
        rule = "{name: cdc, databases: [appdb], roles: [app_readonly], replication: [logical]}"
        if kind is Replication.LOGICAL:
            allowed(rule, replication=kind)
        else:
            assert refused(rule, replication=kind) == Reason.REPLICATION_NOT_ALLOWED


class TestEnds:
    @pytest.mark.parametrize(
        ("session", "end"),
        [
            ("{until: fixed}", NOW + 36000),
            ("{until: sso, max: 8h}", NOW + 28800),
            ("{max: 1m}", NOW + 60),
            ("{until: token}", NOW + 290),
            ("{until: token, max: 1m}", NOW + 60),
        ],
    )
    def test_until_and_max(self, session: str, end: int) -> None:
        rule = f"{{name: one, databases: [appdb], roles: [app_readonly], session: {session}}}"
        assert allowed(rule).ends_at == end

    def test_several_rules_give_the_earliest_end(self) -> None:
        rule = "{name: short, databases: [appdb], roles: [app_readonly], session: {max: 5m}}"
        outcome = allowed(READERS, rule)
        assert (outcome.rules, outcome.ends_at) == (("readers", "short"), NOW + 300)

    def test_no_session_outlasts_its_rule(self) -> None:
        rule = "{name: one, databases: [appdb], roles: [app_readonly], expires: 2027-01-15, session: {max: 5d}}"
        assert allowed(rule).ends_at == MIDNIGHT
        assert refused(rule, now=MIDNIGHT) == Reason.NO_RULE

    def test_a_session_that_would_be_over_is_refused(self) -> None:
        rule = "{name: one, databases: [appdb], roles: [app_readonly], session: {until: token}}"
        assert refused(rule, expires_at=NOW) == Reason.SESSION_OVER
        allowed(rule, expires_at=NOW + 1)


def test_explain_says_of_every_rule_what_kept_it_from_matching() -> None:
    rules = compiled(
        READERS,
        "{name: writers, any_role: [db-write], databases: [appdb], roles: [app_readwrite]}",
        "{name: mfa, issuers: [corp], databases: [appdb], roles: [app_readonly], when: claims.department == 'hr'}",
        LEAVERS,
    )
    said = policy.explain(rules, verified(), request(), server="local", now=NOW)
    assert [(one.rule, one.unmet) for one in said] == [
        ("readers", None),
        ("writers", "any_role"),
        ("mfa", "when"),
        ("leavers", "any_group"),
    ]
    assert said[2].detail == 'the token has no claim "department"'


def test_no_rules_allow_nobody() -> None:
    assert refused() == Reason.NO_RULE
