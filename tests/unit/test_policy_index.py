"""What the index holds back could not have mattered: a decision is that of all rules, asked one by one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer import policy
from pgbearer.policy import Allow, Considered, Deny
from pgbearer.wire import Reason, Replication, RoleAttributes
from tests.unit.logins import NOW, compiled, request, verified

_MANY = ", ".join(f"n{number}" for number in range(70))
"""More than the index files one by one."""
_WHAT = (
    "databases: [appdb], roles: [app_readonly]",
    "databases: ['app_*', '?'], roles: ['*']",
    "databases: ['{sub}'], roles: [app_readonly]",
    "databases: ['app_{department}'], roles: ['app_r?']",
    "databases: ['*'], roles: ['u_{sub}', dba]",
    "databases: ['*'], roles_from: {claim: token_roles, strip: 'pg:'}",
    f"databases: ['{{sub}}', {_MANY}], roles: [app_readonly]",
    f"databases: [appdb], roles: ['u_{{sub}}', {_MANY}]",
)
_WHOM = (
    "",
    ", any_role: [db-read, pg:dba]",
    ", all_roles: [db-read, db-write]",
    ", any_group: [/staff]",
    ", from: [10.0.0.0/8]",
    ", replication: [logical, physical]",
    ", when: 'claims.level > 3'",
)
_RULES = st.lists(
    st.tuples(st.sampled_from(["", "deny: true, "]), st.sampled_from(_WHAT), st.sampled_from(_WHOM)).map("".join),
    min_size=1,
    max_size=6,
)
_LOGINS = st.fixed_dictionaries(
    {
        "subject": st.sampled_from(["4f7c", "a b", "appdb"]),
        "claims": st.sampled_from([{}, {"department": "x"}, {"department": "a/b", "level": 5}, {"level": 1}]),
        "token_roles": st.frozensets(st.sampled_from(["db-read", "db-write", "pg:dba", "pg:a b"])),
        "groups": st.frozensets(st.sampled_from(["/staff"])),
        "database": st.sampled_from(["appdb", "app_x", "n1", "a", "app_*"]),
        "role": st.sampled_from(["app_readonly", "u_4f7c", "dba", "n1", "a b"]),
        "replication": st.sampled_from(Replication),
        "address": st.sampled_from(["10.1.2.3", "192.0.2.1", None]),
        "role_attributes": st.sampled_from([RoleAttributes(exists=True), RoleAttributes(exists=True, superuser=True)]),
    }
)
_TOKEN = ("subject", "claims", "token_roles", "groups")


def _named(rules: list[str]) -> list[str]:
    return [f"{{name: r{number}, issuers: [corp], {rule}}}" for number, rule in enumerate(rules)]


@given(rules=_RULES, login=_LOGINS)
def test_the_decision_is_that_of_a_full_scan(rules: list[str], login: dict[str, Any]) -> None:
    rulebook = compiled(*_named(rules))
    person = verified(**{name: login[name] for name in _TOKEN})
    asked = request(**{name: value for name, value in login.items() if name not in _TOKEN})
    outcome = policy.evaluate(rulebook, person, asked, server="local", now=NOW, keys_age=1.0)
    considered = policy.explain(rulebook, person, asked, server="local", now=NOW)
    deciding = [one for one in considered if one.deny and (one.matched or one.error)]
    matching = [one.rule for one in considered if not one.deny and one.matched]
    if deciding:
        assert isinstance(outcome, Deny)
        assert outcome.rule in {one.rule for one in deciding}
    elif matching:
        assert isinstance(outcome, Allow)
        assert outcome.rules == tuple(sorted(matching))
    else:
        assert isinstance(outcome, Deny)
        assert outcome.reason not in {Reason.DENIED_BY_RULE, Reason.POLICY_ERROR}


def _considered(rule: str, **login: Any) -> Considered:
    person = verified(**{name: login[name] for name in _TOKEN if name in login})
    asked = request(**{name: value for name, value in login.items() if name not in _TOKEN})
    (one,) = policy.explain(compiled(rule), person, asked, server="local", now=NOW)
    return one


@pytest.mark.parametrize("more", ["", f", {_MANY}"], ids=["few names", "many names"])
def test_what_cannot_be_judged_is_no_matter_where_the_rule_cannot_match(more: str) -> None:
    """However many names it has, and so wherever it is filed."""
    rule = f"{{name: own, deny: true, databases: ['{{sub}}'{more}], roles: [app_rw]}}"
    assert _considered(rule, subject="a b", role="app_readonly").error is None
    assert _considered(rule, subject="a b", role="app_rw").error is Reason.NAME_NOT_EXPRESSIBLE
    reader = "{name: all, databases: ['*'], roles: ['*']}"
    both = compiled(rule, reader)
    for role, allowed in (("app_readonly", True), ("app_rw", False)):
        outcome = policy.evaluate(
            both, verified(subject="a b"), request(role=role), server="local", now=NOW, keys_age=1.0
        )
        assert isinstance(outcome, Allow) is allowed
