"""What we rely on the CEL library for. A new release of it must pass here before it decides anything."""

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgbearer.policy.conditions import ConditionError, Environment
from pgbearer.policy.fields import FIELDS, Asked, FieldType
from tests.unit.logins import NOW, request, verified

CLAIMS: dict[str, FieldType] = {"acr": "string", "level": "int", "mfa": "bool", "teams": "string_list"}
ENVIRONMENT = Environment(CLAIMS)
FULL: dict[str, Any] = {"acr": "mfa", "level": 3, "mfa": False, "teams": ("a", "b")}


def asked(claims: dict[str, Any] | None = None, **changes: Any) -> Asked:
    person = verified(claims=FULL if claims is None else claims)
    return Asked(verified=person, request=request(**changes), server="pay-eu", now=NOW)


def holds(condition: str, claims: dict[str, Any] | None = None, **changes: Any) -> bool:
    compiled = ENVIRONMENT.compile(condition)
    return compiled.holds(ENVIRONMENT.facts(asked(claims, **changes)))


@pytest.mark.parametrize(
    "condition",
    [
        'claims.acr == "mfa"',
        "claims.level >= 3",
        "!claims.mfa",
        '"a" in claims.teams',
        'claims.teams.exists(team, team.startsWith("b"))',
        'request.server == "pay-eu" && request.database == "appdb" && request.role == "app_readonly"',
        'request.client.address == "10.1.2.3" && request.client.tls == "" && request.client.certificate == ""',
        'request.replication == "none" && !request.role_privileged && !request.in_recovery',
        'request.unverified.application_name == "psql"',
        'request.time.getHours("Europe/Berlin") == 9',
        'request.time < timestamp("2027-01-16T00:00:00Z")',
        'token.issuer == "corp" && token.subject == "4f7c" && token.identity == "corp:4f7c"',
        'token.client == "pgbearer-cli" && "openid" in token.scopes',
        '"db-read" in token.roles && "/staff" in token.groups',
        'token.expires_at - token.issued_at <= duration("5m")',
        'claims.acr.matches("^(mfa|hwk)$")',
        "has(claims.acr)",
        "has( claims . acr ) && claims . acr == 'mfa' // with space",
        "has(claims.mfa)",
        "!has(claims.acr) || claims.acr != 'has(claims.x)'",
    ],
)
def test_a_true_condition_holds(condition: str) -> None:
    assert holds(condition) is True


def test_every_field_can_be_named_and_is_always_there() -> None:
    bare = asked({}, application_name=None, address=None)
    for name, field in FIELDS.items():
        compiled = ENVIRONMENT.compile(f"{name} == {name}")
        assert compiled.holds(ENVIRONMENT.facts(bare)), (name, field.type)


@pytest.mark.parametrize(
    ("condition", "claims"),
    [
        ('claims.acr == "mfa"', {"acr": "pwd"}),
        ("has(claims.acr)", {}),
        ("has(claims.acr) && claims.acr == 'mfa'", {}),
        ("has(claims.mfa) && claims.mfa", {"mfa": False}),
        ('claims.acr.matches("^m$")', FULL),
    ],
)
def test_a_false_condition_does_not(condition: str, claims: dict[str, Any]) -> None:
    assert holds(condition, claims) is False


@pytest.mark.parametrize(
    ("condition", "claims"),
    [
        pytest.param('claims.acr == "mfa"', {}, id="claim missing"),
        pytest.param('claims.acr != "mfa"', {}, id="claim missing, negated"),
        pytest.param("!claims.mfa", {}, id="bool missing, negated"),
        pytest.param('claims.acr == "mfa"', {"acr": 5}, id="claim of another type"),
        pytest.param("claims.level == 1", {"level": True}, id="bool for int"),
        pytest.param("claims.mfa", {"mfa": 1}, id="int for bool"),
        pytest.param("claims.level > 1", {"level": 2**70}, id="beyond 64 bits"),
        pytest.param("claims.level + 1 > 0", {"level": 2**63 - 1}, id="overflow"),
        pytest.param("1 / claims.level > 0", {"level": 0}, id="division by zero"),
        pytest.param('claims.teams[9] == "a"', FULL, id="index out of range"),
        pytest.param("int(claims.acr) > 0", FULL, id="no number"),
        pytest.param("timestamp(claims.acr) < request.time", FULL, id="no timestamp"),
        pytest.param("dyn(claims.level) < dyn(claims.acr)", FULL, id="no overload at run time"),
    ],
)
def test_an_error_is_raised_and_never_truth(condition: str, claims: dict[str, Any]) -> None:
    """The library *returns* errors, as values whose Python truth is true."""
    with pytest.raises(ConditionError):
        holds(condition, claims)


@pytest.mark.parametrize(
    ("condition", "message", "hint"),
    [
        ('clams.acr == "mfa"', 'unknown name "clams.acr"', 'did you mean "claims.acr"?'),
        ('claims.arc == "mfa"', 'unknown name "claims.arc"', 'did you mean "claims.acr"?'),
        ("has(claims.arc)", 'unknown name "claims.arc"', 'did you mean "claims.acr"?'),
        ('request.rol == "x"', 'unknown name "request.rol"', 'did you mean "request.role"?'),
        ('request.client == "x"', 'unknown name "request.client"', None),
        ("now() == 1", 'unknown name "now"', None),
        ("cel.bind(x, 1, x == 1)", 'unknown name "x"', None),
        ('claims["acr"] == "mfa"', 'unknown name "claims"', None),
        ("claims.level == 'x'", "found no matching overload for '_==_'", None),
        ("request.role", "is of type string, not bool", "compare it with something"),
        ("claims.level", "is of type int, not bool", "compare it with something"),
        ("dyn(true)", "is of type dyn, not bool", "compare it with something"),
        ("'true'", "is of type string, not bool", "compare it with something"),
        ("claims.acr ==", "Syntax error", None),
        ("claims.acr = 'mfa'", "Syntax error", None),
        ("", "Syntax error", None),
        ("has(request.role)", "has() asks for the presence of a claim", None),
        ("has(request.in_recovery)", "has() asks for the presence of a claim", None),
        ("x.has(claims.acr)", "has() asks for the presence of a claim", None),
        ("has", 'unknown name "has"', None),
        ("request.role.matches(claims.acr)", "matches() takes one pattern, written out", None),
        ("request.role.matches('a' + claims.acr)", "matches() takes one pattern, written out", None),
        ("matches(request.role, '^a$')", "matches() takes one pattern, written out", None),
        ("request.role.matches('[')", "'[' is not a pattern", None),
        ("request.role.matches(r'(?=x)')", "r'(?=x)' is not a pattern", None),
        ("(" * 50 + "true" + ")" * 50, "recursion limit", None),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused_when_loaded(
    condition: str, message: str, hint: str | None
) -> None:
    with pytest.raises(ConditionError) as caught:
        ENVIRONMENT.compile(condition)
    assert message in str(caught.value)
    if hint:
        assert caught.value.hint == hint


def test_a_claim_that_no_condition_can_name_is_not_in_the_way() -> None:
    environment = Environment({"https://example.com/team": "string", "team-name": "string", "acr": "string"})
    assert environment.compile("claims.acr == 'mfa'").holds(environment.facts(asked()))


def test_patterns_take_linear_time() -> None:
    """RE2: a backtracking engine would need 2^40 steps here, and this test would be stopped by its time limit."""
    assert not holds('claims.acr.matches("^(a+)+$")', {"acr": "a" * 40 + "b"})


def test_comprehensions_are_bounded() -> None:
    teams = tuple(f"t{number}" for number in range(100))
    condition = "claims.teams.all(a, claims.teams.all(b, claims.teams.all(c, a != 'x' && b != 'x' && c != 'x')))"
    with pytest.raises(ConditionError, match="budget"):
        holds(condition, {"teams": teams})


def test_an_error_does_not_hide_what_decides_without_it() -> None:
    """CEL's || and && are true or false if either side alone decides: https://github.com/google/cel-spec langdef."""
    assert holds("claims.acr == 'x' || request.role == 'app_readonly'", {}) is True
    assert holds("claims.acr == 'x' && request.role == 'other'", {}) is False


@given(text=st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_text_crashes_the_compiler(text: str) -> None:
    with contextlib.suppress(ConditionError):
        ENVIRONMENT.compile(text)


FRAGMENTS = st.sampled_from(
    [
        "has(",
        "claims.acr",
        "claims.mfa",
        ")",
        "(",
        "!",
        "==",
        "&&",
        "||",
        "'a'",
        '"',
        "'",
        "r'",
        '"""',
        "//",
        "\n",
        " ",
        "matches",
        ".",
    ]
)


@given(parts=st.lists(FRAGMENTS, max_size=12))
@settings(max_examples=500, deadline=None)
def test_whatever_compiles_is_true_false_or_an_error(parts: list[str]) -> None:
    try:
        result = holds("".join(parts))
    except ConditionError:
        return
    assert result is True or result is False
