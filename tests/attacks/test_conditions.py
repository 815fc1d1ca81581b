"""A condition that cannot be evaluated, in each way that CEL has: it never allows, and where it denies it denies."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pgbearer.policy import Allow, Deny, Outcome
from pgbearer.wire import Reason
from tests.attacks.fix_door import Door
from tests.unit import logins

MOST, LEAST = 2**63 - 1, -(2**63)
TEAMS = [f"t{number}" for number in range(100)]

Claims = dict[str, Any]

ERRORS: dict[str, tuple[str, Claims]] = {
    "string missing": ('claims.acr == "mfa"', {}),
    "string missing, unequal": ('claims.acr != "pwd"', {}),
    "bool missing, negated": ("!claims.mfa", {}),
    "int missing": ("claims.level < 5", {}),
    "list missing, negated": ('!("x" in claims.teams)', {}),
    "list missing, all of it": ('claims.teams.all(team, team != "x")', {}),
    "missing on one side": ('claims.acr == "mfa" || request.role == "nobody"', {}),
    "missing in a choice": ("claims.mfa ? true : true", {}),
    "division by zero": ("1 / claims.level >= 0", {"level": 0}),
    "remainder by zero": ("1 % claims.level >= 0", {"level": 0}),
    "least number divided by -1": ("claims.level / -1 != 0", {"level": LEAST}),
    "sum too large": ("claims.level + 1 != 0", {"level": MOST}),
    "difference too small": ("claims.level - 1 != 0", {"level": LEAST}),
    "product too large": ("claims.level * 2 != 0", {"level": MOST}),
    "negation too large": ("-claims.level != 0", {"level": LEAST}),
    "index beyond the end": ('claims.teams[9] != "a"', {"teams": ["a"]}),
    "index below zero": ('claims.teams[claims.level] != "a"', {"teams": ["a"], "level": -1}),
    "index into nothing": ('claims.teams[0] != "a"', {"teams": []}),
    "key that is not there": ('{"a": true}[claims.acr]', {"acr": "b"}),
    "text that is no number": ("int(claims.acr) != 0", {"acr": "one"}),
    "text that is no fraction": ("double(claims.acr) != 0.0", {"acr": "half"}),
    "text that is no bool": ("bool(claims.acr)", {"acr": "maybe"}),
    "text that is no time": ("timestamp(claims.acr) != request.time", {"acr": "yesterday"}),
    "text that is no duration": ('duration(claims.acr) != duration("1s")', {"acr": "soon"}),
    "fraction beyond all numbers": ("int(double(claims.level) * 1e10) != 0", {"level": MOST}),
    "negative without sign": ("uint(claims.level) != 0u", {"level": -1}),
    "time zone that is not": ("request.time.getHours(claims.acr) >= 0", {"acr": "Mars/Olympus"}),
    "time beyond all times": ("request.time + duration(claims.acr) > request.time", {"acr": "80000000h"}),
    "types that do not compare": ("dyn(claims.level) < dyn(claims.acr)", {"level": 1, "acr": "a"}),
    "no bool after all": ("dyn(claims.acr) || dyn(claims.acr)", {"acr": "a"}),
    "error inside all": ("claims.teams.all(team, int(team) >= 0)", {"teams": ["1", "x"]}),
    "error inside exists": ("claims.teams.exists(team, int(team) > 9)", {"teams": ["1", "x"]}),
    "too many steps": (
        "claims.teams.all(a, claims.teams.all(b, claims.teams.all(c, a != 'x' && b != 'x' && c != 'x')))",
        {"teams": TEAMS},
    ),
}
"""A condition and the claims on which it fails. A reader of any of them might say yes."""

READERS = {"name": "readers", "any_role": ["db-read"], "databases": ["appdb"], "roles": ["app_readonly"]}
DECLARED = {"acr": "string", "level": "int", "mfa": "bool", "teams": "string_list"}


def allowing(name: str) -> dict[str, Any]:
    """A rule that allows on this condition whoever has the token role "allow NAME"."""
    return READERS | {"name": f"allow {name}", "any_role": [f"allow {name}"], "when": ERRORS[name][0]}


def denying(name: str) -> dict[str, Any]:
    """A rule that denies on this condition whoever has the token role "deny NAME"."""
    return {"name": f"deny {name}", "deny": True, "any_role": [f"deny {name}"], "when": ERRORS[name][0]}


def decide(name: str, *roles: str) -> Outcome:
    """What the policy alone says to somebody with these token roles."""
    rules = (json.dumps(rule | {"issuers": ["corp"]}) for rule in (READERS, allowing(name), denying(name)))
    claims = {key: tuple(value) if isinstance(value, list) else value for key, value in ERRORS[name][1].items()}
    return logins.ask(logins.compiled(*rules), claims=claims, token_roles=frozenset(roles))


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_no_yes(name: str) -> None:
    outcome = decide(name, f"allow {name}")
    assert isinstance(outcome, Deny)
    assert outcome.reason is Reason.NO_RULE
    (recorded,) = [one for one in outcome.considered if one.rule == f"allow {name}"]
    assert recorded.error is Reason.POLICY_ERROR
    assert (recorded.detail or "\n").isprintable()


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_no_absence_of_a_denial(name: str) -> None:
    outcome = decide(name, "db-read", f"deny {name}")
    assert isinstance(outcome, Deny)
    assert (outcome.reason, outcome.rule) == (Reason.POLICY_ERROR, f"deny {name}")


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_where_one_would_be_allowed_takes_nothing_from_other_rules(name: str) -> None:
    assert isinstance(decide(name, "db-read", f"allow {name}"), Allow)


@pytest.fixture(scope="module")
def conditional(door: Door) -> Iterator[Door]:
    """The door with all these rules."""
    rules = [READERS, *map(allowing, ERRORS), *map(denying, ERRORS)]
    door.with_rules(rules, claims=DECLARED)
    yield door
    door.with_usual_rules()


def token(door: Door, name: str, *roles: str) -> str:
    return door.issuer.token(realm_access={"roles": list(roles)}, **ERRORS[name][1])


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_no_yes_at_login(conditional: Door, name: str) -> None:
    assert conditional.refused(token(conditional, name, f"allow {name}")) == Reason.NO_RULE


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_no_absence_of_a_denial_at_login(conditional: Door, name: str) -> None:
    assert conditional.refused(token(conditional, name, "db-read", f"deny {name}")) == Reason.POLICY_ERROR


@pytest.mark.parametrize("name", ERRORS)
def test_the_same_claims_log_in_by_another_rule(conditional: Door, name: str) -> None:
    with conditional.chain.login(token=token(conditional, name, "db-read", f"allow {name}")):
        pass
