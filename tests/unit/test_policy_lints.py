"""Lints, by table: what a rule leads to, with its severity, and what is left alone."""

from typing import Any

import pytest

from pgbearer import policy
from pgbearer.policy.lint import LINTS
from tests.unit.logins import READERS, settings

ALLOW = "name: one, issuers: [corp], databases: [appdb], roles: [app_readonly]"
DENY = "name: one, deny: true, issuers: [corp]"


def found(*rules: str, claims: dict[str, Any] | None = None) -> list[str]:
    """Every finding of the rules, as the severity and the message."""
    given = settings(*rules)
    if claims:
        corp = given.issuers["corp"].model_copy(update={"claims": {**given.issuers["corp"].claims, **claims}})
        given = given.model_copy(update={"issuers": {**given.issuers, "corp": corp}})
    problems = policy.compile(given).problems
    assert not [problem for problem in problems if problem.is_error], problems
    return [f"{problem.severity} {problem.path[2]}: {problem.message}" for problem in problems]


PEOPLES = {"email": "string", "email_verified": "bool", "preferred_username": "string", "groups_of": "string_list"}


@pytest.mark.parametrize(
    ("rule", "finding"),
    [
        # loose comparisons
        (f"{ALLOW}, when: 'claims.acr.matches(\"mfa\")'", 'warning when: "mfa" matches anywhere in the text'),
        (f"{ALLOW}, when: 'claims.acr.matches(\"^mfa\")'", 'warning when: "^mfa" matches anywhere in the text'),
        (f"{ALLOW}, when: 'claims.acr.matches(\"^mfa$\")'", None),
        (f"{ALLOW}, when: 'claims.acr.matches(\"^(a|b)$\")'", None),
        (f"{ALLOW}, when: 'claims.acr.matches(\"^a|b$\")'", 'warning when: "^a|b$" matches anywhere in the text'),
        (f"{ALLOW}, when: 'claims.acr.matches(\"^(a)|(b)$\")'", 'warning when: "^(a)|(b)$" matches anywhere'),
        (f"{ALLOW}, when: 'claims.acr.contains(\"mfa\")'", 'warning when: contains("mfa") finds its text anywhere'),
        (f"{ALLOW}, when: 'claims.acr.contains(request.role)'", "warning when: contains(...) finds its text anywhere"),
        (f"{DENY}, when: 'claims.acr.contains(\"pwd\")'", None),
        (f"{ALLOW}, when: 'claims.acr == \".contains(\"'", None),
        # groups
        (f"{ALLOW}, any_group: [dba]", 'warning any_group: "dba" is no path'),
        (f"{ALLOW}, any_group: [/dba, dba]", 'warning any_group: "dba" is no path'),
        (f"{ALLOW}, any_group: [/dba]", None),
        ("name: one, issuers: [batch], databases: [appdb], roles: [app_readonly], any_group: [dba]", None),
        ("name: one, databases: [appdb], roles: [app_readonly], any_group: [dba]", 'warning any_group: "dba" is no'),
        (f"{DENY}, any_group: [leavers]", 'warning any_group: "leavers" is no path'),
        (f"{ALLOW}, any_group: ['/dba/*']", 'warning any_group: "/dba/*" is taken as it stands'),
        (
            f"{ALLOW}, when: 'token.groups.exists(g, g.startsWith(\"/dba\"))'",
            'warning when: startsWith("/dba") also takes groups whose names go on',
        ),
        (f"{ALLOW}, when: 'token.groups.exists(g, g.startsWith(\"/dba/\"))'", None),
        (f"{ALLOW}, when: 'request.role.startsWith(\"app_\")'", None),
        # what people can edit, what nobody vouches for
        (f"{ALLOW}, when: 'claims.email == \"a@b.c\"'", 'warning when: nobody vouches for "email" without'),
        (f"{ALLOW}, when: 'claims.email == \"a@b.c\" && claims.email_verified'", None),
        (f"{DENY}, when: 'claims.email == \"a@b.c\"'", None),
        (
            f"{ALLOW}, when: 'claims.preferred_username == \"a\"'",
            'warning when: people can change "preferred_username"',
        ),
        ("name: one, issuers: [corp], databases: [appdb], roles: ['{email}']", "warning roles: nobody vouches for"),
        (
            "name: one, issuers: [corp], databases: [appdb], roles: ['{email}'], when: claims.email_verified",
            None,
        ),
        (
            "name: one, issuers: [corp], databases: ['{preferred_username}'], roles: [a]",
            'warning databases: people can change "preferred_username" themselves',
        ),
        (
            "name: one, issuers: [corp], databases: [appdb], roles_from: {claim: preferred_username}",
            'warning roles_from: people can change "preferred_username" themselves',
        ),
        ("name: one, issuers: [corp], databases: [appdb], roles: ['u_{sub}', '{department}']", None),
        (
            f"{ALLOW}, when: 'request.unverified.application_name == \"x\"'",
            "warning when: request.unverified.* is whatever the client says",
        ),
        (f"{DENY}, when: 'request.unverified.application_name == \"x\"'", None),
        # privilege and tier
        (f"{ALLOW}, privileged: true", "notice privileged: may give privileged roles: app_readonly"),
        (
            "name: one, databases: [appdb], roles: ['*'], privileged: true",
            "warning privileged: has no effect: the rule names no role exactly",
        ),
        (
            f"{ALLOW}, tier: critical, session: {{until: sso}}",
            "warning session: a critical session goes on after its token has expired",
        ),
        (f"{ALLOW}, tier: critical, session: {{max: 1m}}", None),
        (f"{ALLOW}, tier: critical", None),
    ],
)
def test_one_rule(rule: str, finding: str | None) -> None:
    findings = found(f"{{{rule}}}", claims=PEOPLES)
    assert len(findings) == (finding is not None), findings
    assert finding is None or findings[0].startswith(finding), findings


NARROW = "name: narrow, any_role: [db-read], databases: [appdb], roles: [app_readonly]"


@pytest.mark.parametrize(
    ("broad", "narrow", "needless"),
    [
        ("databases: [appdb], roles: [app_readonly]", "", True),
        ("databases: ['*'], roles: ['*']", "", True),
        ("any_role: [db-read, db-write], databases: ['app*'], roles: [app_readonly, x]", "", True),
        ("any_role: [db-read], databases: [appdb], roles: ['app_*']", ", any_group: [/staff]", True),
        ("any_role: [db-read], databases: [appdb], roles: [app_readonly]", ", from: [10.0.0.0/8]", True),
        ("databases: ['*'], roles: ['*']", ", tier: normal", True),
        ("databases: ['*'], roles: ['*']", ", session: {max: 1m}", False),
        ("databases: ['*'], roles: ['*']", ", tier: critical", False),
        ("databases: ['*'], roles: ['*']", ", expires: 2027-01-31", False),
        ("databases: ['*'], roles: ['*']", ", replication: [logical]", False),
        ("databases: ['*'], roles: ['*']", ", privileged: true", False),
        ("any_role: [dba], databases: ['*'], roles: ['*']", "", False),
        ("all_roles: [db-read, dba], databases: ['*'], roles: ['*']", "", False),
        ("any_group: [/staff], databases: ['*'], roles: ['*']", "", False),
        ("servers: [local], databases: ['*'], roles: ['*']", "", False),
        ("databases: [app], roles: ['*']", "", False),
        ("databases: ['*'], roles: ['u_{sub}']", "", False),
        ("databases: ['*'], roles_from: {claim: token_roles}", "", False),
        ("databases: ['*'], roles: ['*'], from: [10.0.0.0/8]", "", False),
        ("databases: ['*'], roles: ['*'], ask: {all: [opa]}", "", False),
        ("databases: ['*'], roles: ['*'], ask: {all: [opa]}", ", ask: {any: [opa]}", False),
        ("databases: ['*'], roles: ['*'], ask: {all: [opa]}", ", ask: {all: [opa]}", True),
        ("databases: ['*'], roles: ['*']", ", ask: {all: [opa]}", True),
        ("databases: ['*'], roles: ['*']", ", ask: {all: [opa], veto: true}", False),
    ],
)
def test_a_rule_that_another_makes_needless(broad: str, narrow: str, *, needless: bool) -> None:
    rules = f"{{{NARROW}{narrow}}}", f"{{name: broad, {broad}}}"
    for given in (rules, rules[::-1]):
        findings = [line for line in found(*given) if "changes nothing" in line]
        assert findings == (
            ['warning name: changes nothing: the rule "broad" allows all that it allows'] if needless else []
        )


def test_a_rule_that_is_never_reached() -> None:
    denied = "{name: never, deny: true, databases: ['app*'], issuers: [corp]}"
    assert found(READERS, denied) == []
    (line,) = found(READERS.replace("any_role", "issuers: [corp], any_role"), denied)
    assert line.endswith('never allows anything: the deny rule "never" refuses all it matches')


def test_two_rules_that_say_the_same() -> None:
    assert found(READERS, READERS.replace("name: readers", "name: again")) == [
        'warning name: says the same as the rule "readers"'
    ]


def test_every_lint_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any one of them something above would not be found."""
    asked = [
        tuple(f"{{{rule}}}" for rule in (row.values[0],))
        for row in (pytest.param(*case) for case in test_one_rule.pytestmark[0].args[1])  # type: ignore[attr-defined]
    ]
    asked += [(READERS, READERS.replace("name: readers", "name: again"))]
    asked += [(READERS, "{name: broad, databases: ['*'], roles: ['*']}"), (READERS, "{name: never, deny: true}")]
    agents = "{name: agents, databases: [appdb], roles: ['*'], any_role: [db-read], actor: [notes]}"
    asked += [(READERS, agents, "{name: leavers, deny: true, any_group: [/leavers]}")]
    everything = [found(*rules, claims=PEOPLES) for rules in asked]
    for lint in LINTS:
        monkeypatch.setattr(policy.lint, "LINTS", tuple(other for other in LINTS if other is not lint))
        assert [found(*rules, claims=PEOPLES) for rules in asked] != everything, lint.__name__
