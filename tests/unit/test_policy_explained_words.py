"""What an explanation says word for word: what each check saw, what each key had, and how a deny rule lets go."""

from typing import Any

import pytest

from pgbearer.policy.explanation import Explanation, explain_record
from pgbearer.policy.recorded import question_of
from pgbearer.wire import Hba, RoleAttributes, ServerInfo
from tests.unit.logins import READERS, compiled, request, settings, verified
from tests.unit.recorded_logins import recorded, recorded_outcome

CORP = "https://sso.example.com/realms/corp"
MEMBER = RoleAttributes(exists=True, createdb=True, member_of=frozenset({"pg_read_all_data"}))


def explained(*rules: str, **login: Any) -> Explanation:
    entry = recorded_outcome(compiled(*rules), **login)
    return explain_record(entry, compiled(*rules), "f" * 64, settings().issuers)


@pytest.mark.parametrize(
    ("step", "login", "saw"),
    [
        ("clock", {"now": 1_800_000_000_000 - 1_500}, "the database server's clock is -1.5 s from ours"),
        ("clock", {"now": 1_800_000_000_000 + 4_000}, "the database server's clock is +4.0 s from ours"),
        ("clock", {}, "the database server's clock agrees with ours"),
        (
            "role",
            {"role_attributes": MEMBER},
            "app_readonly exists; privileged: createdb and member of pg_read_all_data",
        ),
        ("role", {}, "app_readonly exists; not privileged"),
        (
            "scopes",
            {
                "scopes": frozenset({"openid", "db:demo"}),
                "hba": Hba(issuer=CORP, scopes=("openid",), delegate=True, map=None),
            },
            "the HBA line asks for openid; the token has db:demo and openid",
        ),
        (
            "scopes",
            {"hba": Hba(issuer=CORP, scopes=(), delegate=True, map=None)},
            "the HBA line asks for none; the token has openid",
        ),
    ],
)
def test_each_check_tells_what_it_saw(step: str, login: dict[str, Any], saw: str) -> None:
    (found,) = (one for one in explained(READERS, **login).steps if one.step == step)
    assert (found.outcome, found.saw) == ("passed", saw)


@pytest.mark.parametrize(
    ("key", "login", "change"),
    [
        ("any_group: [/leavers, /guests]", {"groups": frozenset({"/guests", "/staff"})}, "out of the group /guests;"),
        ("any_role: [dba, ops]", {"token_roles": frozenset({"ops", "db-read"})}, "take the role ops from alice;"),
        (
            "all_roles: [ops, db-read]",
            {"token_roles": frozenset({"ops", "db-read"})},
            "one of the roles db-read or ops",
        ),
        ("any_organization: [acme, x]", {"organizations": frozenset({"acme", "y"})}, "take alice out of acme;"),
        ("servers: [local]", {}, "Take local out of `servers` of the rule."),
        ("from: [10.0.0.0/8]", {}, "Connect from outside 10.0.0.0/8."),
        ("issuers: [corp], when: claims.acr == 'mfa'", {}, "must become false: it read claims.acr = 'mfa'"),
    ],
)
def test_a_deny_rule_says_how_not_to_match(key: str, login: dict[str, Any], change: str) -> None:
    explanation = explained(READERS, f"{{name: kept out, deny: true, {key}}}", **login)
    assert explanation.verdict.reason == "denied_by_rule"
    assert any(change in line for line in explanation.changes), explanation.changes


@pytest.mark.parametrize(
    ("rule", "login", "has"),
    [
        (
            READERS,
            {"role_attributes": MEMBER},
            "the catalog says of app_readonly: createdb and member of pg_read_all_data",
        ),
        (
            "{name: one, databases: [appdb], roles: [app_readonly], when: request.in_recovery}",
            {},
            "request.in_recovery = false",
        ),
        (
            "{name: one, databases: [appdb], roles: [app_readonly], issuers: [corp]}",
            {"issuer": "batch"},
            "the token is of issuer batch",
        ),
    ],
)
def test_what_the_login_had_is_told(rule: str, login: dict[str, Any], has: str) -> None:
    (unmet,) = explained(rule, **login).rules[0].unmet
    assert unmet.has == has


def test_a_replica_is_remembered_as_one() -> None:
    replica = ServerInfo(instance="main", system_identifier="1", start=0, in_recovery=True, version=180_000)
    assert question_of(recorded(verified(), server=replica)).request.server.in_recovery
    assert not question_of(recorded(verified())).request.server.in_recovery
    assert request().server.instance == question_of(recorded(verified())).request.server.instance


def test_the_server_that_asked_is_the_recorded_one() -> None:
    assert question_of(recorded(verified()) | {"server": "pay-eu"}).server == "pay-eu"
