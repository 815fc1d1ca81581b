"""Cases: those of the shipped example come out as they must, and one that does not says so with its line."""

from pathlib import Path

import pytest

from pgbearer import policy
from pgbearer.config import ConfigError, load
from pgbearer.policy.case_file import parse_cases
from pgbearer.policy.cases import Result, run_case
from tests.unit.logins import READERS, compiled, settings

EXAMPLES = Path(__file__).parents[2] / "examples"
LEAVERS = "{name: leavers, deny: true, any_group: [/leavers]}"
HEAD = """\
version: 1
defaults:
  token: {issuer: corp, roles: [db-read]}
  request: {server: local, database: appdb, role: app_readonly, time: 2027-01-15T08:00:00Z}
cases:
"""


def run(case: str, *rules: str) -> Result:
    """Run one case, written in YAML's flow style."""
    cases = parse_cases(f"{HEAD}  - {case}\n", "cases.yaml")
    return run_case(compiled(*rules or (READERS, LEAVERS)), settings(), cases, 0, "cases.yaml")


def example() -> list[tuple[str, int]]:
    cases = parse_cases((EXAMPLES / "pgbearer.cases.yaml").read_text(), "cases")
    return [(case.name, at) for at, case in enumerate(cases.file.cases)]


@pytest.mark.parametrize(("name", "at"), example())
def test_the_shipped_example_decides_as_its_cases_say(name: str, at: int) -> None:
    loaded = load(EXAMPLES / "pgbearer.yaml", policy.compile, in_force=False)
    cases = parse_cases((EXAMPLES / "pgbearer.cases.yaml").read_text(), "cases")
    result = run_case(loaded.checked.policy, loaded.settings, cases, at)
    assert result.name == name
    assert result.differences == (), result.why


def test_every_rule_of_the_shipped_example_decides_some_case() -> None:
    rules = {rule.name for rule in load(EXAMPLES / "pgbearer.yaml", policy.compile, in_force=False).settings.rules}
    cases = parse_cases((EXAMPLES / "pgbearer.cases.yaml").read_text(), "cases").file.cases
    assert rules == {rule for case in cases for rule in case.expect.rules or ()}


@pytest.mark.parametrize(
    "case",
    [
        "{name: x, expect: {decision: allow}}",
        "{name: x, expect: {decision: allow, reason: allowed, rules: [readers], ends_in: 10h}}",
        "{name: x, token: {roles: []}, expect: {decision: deny, reason: no_rule, rules: []}}",
        "{name: x, token: {groups: [/leavers]}, expect: {decision: deny, reason: denied_by_rule, rules: [leavers]}}",
        "{name: x, request: {exists: false}, expect: {decision: deny, reason: role_unknown}}",
        "{name: x, request: {attributes: [superuser]}, expect: {decision: deny, reason: role_privileged}}",
        "{name: x, request: {member_of: [pg_monitor]}, expect: {decision: deny, reason: role_privileged}}",
        "{name: x, request: {replication: logical}, expect: {decision: deny, reason: replication_not_allowed}}",
    ],
)
def test_a_case_that_comes_out_as_expected_passes(case: str) -> None:
    result = run(case)
    assert result.passed, result
    assert result.why == ()


@pytest.mark.parametrize(
    ("key", "case"),
    [
        ("from: [10.0.0.0/8]", "request: {address: 10.1.2.3}"),
        ("servers: [pay-eu]", "request: {server: pay-eu}"),
        ("issuers: [corp], when: claims.level > 2", "token: {claims: {level: 3}}"),
        ("issuers: [corp], when: '\"a\" in claims.teams'", "token: {claims: {teams: [a, b]}}"),
        ("issuers: [corp], when: token.identity == 'corp:7'", "token: {sub: '7'}"),
        ("when: token.client == 'nightly'", "token: {issuer: batch}"),
        ("when: request.client.tls == 'TLSv1.3'", "request: {tls: TLSv1.3}"),
        ("when: request.client.certificate == 'ab'", "request: {certificate: ab}"),
        ("when: request.in_recovery", "request: {in_recovery: true}"),
        ("when: request.time.getFullYear() == 2031", "request: {time: 2031-05-01T00:00:00Z}"),
        ("when: \"'openid' in token.scopes\"", "token: {scopes: [openid]}"),
        ("any_organization: [acme]", "token: {organizations: [acme]}"),
        ("session: {until: token}", "token: {lifetime: 2m}"),
    ],
)
def test_everything_a_rule_can_look_at_can_be_set(key: str, case: str) -> None:
    rule = f"{{name: one, databases: [appdb], roles: [app_readonly], {key}}}"
    expect = "expect: {decision: allow, ends_in: 2m}" if "until" in key else "expect: {decision: allow}"
    assert run(f"{{name: x, {case}, {expect}}}", rule).passed
    if "until" not in key:
        assert not run("{name: x, expect: {decision: allow}}", rule).passed


def test_a_case_that_comes_out_otherwise_says_what_and_why() -> None:
    result = run("{name: x, token: {roles: []}, expect: {decision: allow, rules: [readers]}}")
    assert result.line == 6
    assert [(one.what, one.expected, one.got) for one in result.differences] == [
        ("decision", "allow", "deny no_rule"),
        ("rules", "readers", "none"),
    ]
    assert result.why == (
        'the rule "readers" does not match: any_role asks for the token role db-read; the token\'s roles: none',
    )


def test_a_wrong_end_and_a_wrong_reason_are_differences() -> None:
    (end,) = run("{name: x, expect: {decision: allow, ends_in: 8h}}").differences
    assert (end.expected, end.got) == ("28800 s", "36000 s")
    denied = run("{name: x, token: {groups: [/leavers]}, expect: {decision: deny, reason: no_rule}}")
    assert denied.differences[0].got == "deny denied_by_rule"
    assert denied.why[0] == 'the deny rule "leavers" matches'


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (HEAD, "5:7", "must be a list"),
        ("version: 1\ncases: []\n", "2:8", "there is no case"),
        (HEAD + "  - {name: x, expect: {decision: maybe}}\n", "6:34", "must be 'allow' or 'deny'"),
        (HEAD + "  - {name: x, expct: {decision: deny}}\n", "6:15", 'did you mean "expect"?'),
        (HEAD + "  - {name: x, expect: {decision: deny, reason: no_rul}}\n", "6:48", "there is no reason 'no_rul'"),
        (HEAD + "  - {name: x, expect: {decision: deny}, token: {age: 5}}\n", "6:54", "must be a duration"),
        (HEAD + "  - &a {name: x, expect: {decision: deny}}\n", "6:5", "anchor"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(text: str, place: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_cases(text, "cases.yaml")
    assert f"cases.yaml:{place}" in refused.value.diagnostics()
    assert message in refused.value.diagnostics()


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("token: {issuer: nowhere}", "there is no issuer 'nowhere'"),
        ("request: {server: nowhere}", "there is no server 'nowhere'"),
        ("token: {claims: {undeclared: x}}", "issuer 'corp' declares no claim 'undeclared'"),
    ],
)
def test_a_case_that_the_policy_knows_nothing_of_is_no_case(case: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        run(f"{{name: x, {case}, expect: {{decision: deny}}}}")
    assert f"cases.yaml:6: x: {message}" in refused.value.diagnostics().replace("  ", "")
