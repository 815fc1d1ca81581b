"""What deciders and the rules that ask them must agree on: every check refuses what it is there to refuse."""

from pathlib import Path
from typing import Any

import pytest

from pgbearer import policy
from pgbearer.config import ConfigError, load

GOOD = """
version: 1
issuers:
  corp:
    profile: keycloak
    issuer: https://sso.example.com/realms/corp
    audience: db:pay-eu
    clients: [pgbearer-cli, pgbearer-device]
    critical: {clients: [pgbearer-cli]}
    identity: "corp:{sub}"
deciders:
  opa:
    type: opa
    url: https://opa.example.com
    cache: 30s
    on_fault: {last_known: {max_age: 10m}}
  realm:
    type: keycloak
    url: https://sso.example.com/realms/corp
    issuer: corp
    audience: appdb
defaults: {session: {until: sso, max: 10h}}
rules:
  - name: readers
    any_role: [db-read]
    databases: [appdb]
    roles: [app_readonly]
    ask: {all: [opa, realm], on_fault: {rule: night}}
  - name: payroll
    issuers: [corp]
    databases: [payroll]
    roles: [payroll]
    tier: critical
    ask: {any: [realm]}
  - name: night
    fallback: true
    any_group: [/oncall]
    databases: [appdb]
    roles: [app_readonly]
"""


def found(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "pgbearer.yaml"
    file.write_text(text)
    file.chmod(0o600)
    try:
        return [str(problem) for problem in load(file, policy.compile).warnings]
    except ConfigError as error:
        return [str(problem) for problem in error.problems]


def test_a_good_file(tmp_path: Path) -> None:
    assert found(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("[opa, realm]", "[oqa, realm]", 'rules[0].ask.all[0]: no "oqa" under deciders; did you mean "opa"?'),
        ("[opa, realm]", "[opa, opa]", 'rules[0].ask.all[1]: "opa" stands here twice'),
        ("[opa, realm]", "[]", "rules[0].ask.all: must have at least 1 item"),
        ("{all: [opa, realm], on_fault: {rule: night}}", "{on_fault: deny}", "rules[0].ask: says either all or any"),
        ("{any: [realm]}", "{any: [realm], all: [realm]}", "rules[1].ask: says either all or any"),
        ("{rule: night}", "{}", "rules[0].ask.on_fault: says either last_known or rule"),
        ("{rule: night}", "allow", "rules[0].ask.on_fault: must be 'deny'"),
        ("{rule: night}", "{rule: nigth}", 'rules[0].ask.on_fault.rule: no rule is called "nigth"'),
        ("{rule: night}", "{rule: payroll}", 'rules[0].ask.on_fault.rule: "payroll" is no fallback'),
        ("{rule: night}", "deny", 'warning: no on_fault names "night", so it never counts'),
        ("    any_group: [/oncall]\n", "", "rules[2].fallback: is met by everybody"),
        (
            "    fallback: true\n",
            "    fallback: true\n    ask: {any: [opa]}\n",
            "rules[2].ask: means nothing in a fallback",
        ),
        ("    fallback: true\n", "    fallback: true\n    deny: true\n", "rules[2].fallback: means nothing in a deny"),
        (
            "    any_role: [db-read]\n",
            "    any_role: [db-read]\n    deny: true\n",
            "rules[0].ask: means nothing in a deny rule; write an allow rule with ask: {..., veto: true}",
        ),
        (
            "{any: [realm]}",
            "{any: [opa]}",
            'deciders.opa.on_fault.last_known: a rule of the critical tier, "payroll", takes no last known answer',
        ),
        (
            "{any: [realm]}",
            "{any: [opa]}",
            'deciders.opa.cache: a rule of the critical tier, "payroll", takes no answer',
        ),
        (
            "{any: [realm]}",
            "{any: [realm], on_fault: {last_known: {max_age: 1m}}}",
            "rules[1].ask.on_fault.last_known: a rule of the critical tier",
        ),
        (
            "{any: [realm]}",
            "{any: [realm], on_fault: {rule: night}}",
            'rules[1].ask.on_fault.rule: "night" is not of the critical tier, as "payroll" is',
        ),
        ("[opa, realm]", "[realm]", 'warning: no rule asks "opa"'),
        ("    cache: 30s\n", "    timeout: 10s\n", "deciders.opa.timeout: must not be longer than limits.asking, 3s"),
        (
            "    cache: 30s\n",
            "    timeout: 3s\n",
            "warning: leaves no time to wait for a turn: of more than 32 questions, some are refused",
        ),
        ("    cache: 30s\n", "    timeout: 0s\n", "deciders.opa.timeout: must be at least 1s"),
        ("    cache: 30s\n", "    cache: 1h\n", "deciders.opa.cache: must be at most 5m"),
        ("    cache: 30s\n", "    cachee: 30s\n", 'deciders.opa.cachee: unknown key "cachee"; did you mean "cache"?'),
        (
            "    cache: 30s\n",
            "    client_cert_file: /etc/hostname\n",
            "deciders.opa: client_cert_file and client_key_file go together",
        ),
        (
            "    cache: 30s\n",
            "    ca_file: /nonexistent/ca.crt\n",
            "deciders.opa.ca_file: /nonexistent/ca.crt cannot be read",
        ),
        (
            "on_fault: {last_known: {max_age: 10m}}",
            "on_fault: allow",
            "deciders.opa.on_fault: must be a mapping of keys to values; its keys are last_known, rule",
        ),
        ("    type: opa\n", "    type: oqa\n", "deciders.opa"),
        ("    type: opa\n", "", "deciders.opa"),
        (
            "    url: https://opa.example.com\n",
            "    url: http://opa.example.com\n",
            "deciders.opa.url: must be an https URL",
        ),
        ("    url: https://opa.example.com\n", "", "deciders.opa.url: required, but not given"),
        ("max_age: 10m", "max_age: 2d", "deciders.opa.on_fault.last_known.max_age: must be at most 1d"),
    ],
)
def test_one_change(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert GOOD.count(old) == 1, old
    problems = found(tmp_path, GOOD.replace(old, new))
    assert [line for line in problems if problem in line], problems


@pytest.mark.parametrize(
    ("old", "new"), [("any_role: [db-read]", "any_rol: [db-read]"), ("any_group: [/oncall]", "any_grup: [/oncall]")]
)
def test_a_rule_that_cannot_be_read_is_not_said_to_be_missing(tmp_path: Path, old: str, new: str) -> None:
    (problem,) = found(tmp_path, GOOD.replace(old, new))
    assert "unknown key" in problem


def test_what_may_be_trusted_is_asked_of_every_file_that_a_decider_names(tmp_path: Path) -> None:
    ours = tmp_path / "ours.pem"
    ours.write_text("x")
    ours.chmod(0o666)
    keys: dict[str, Any] = {"ca_file": ours, "client_cert_file": ours, "client_key_file": ours, "bearer_file": ours}
    lines = "".join(f"    {name}: {file}\n" for name, file in keys.items())
    problems = found(tmp_path, GOOD.replace("    cache: 30s\n", lines))
    for name in keys:
        assert [line for line in problems if f"deciders.opa.{name}: not trusted" in line], (name, problems)


VETO = """
  - {name: veto, databases: ["app*"], roles: ["*"], ask: {all: [opa], veto: true}}
  - {name: other, any_role: [dba], databases: [appdb], roles: [root], OTHER}
"""


@pytest.mark.parametrize(
    ("other", "escapes"),
    [
        ("privileged: true", "privileged"),
        ("privileged: true, ask: {any: [opa, realm]}, issuers: [corp]", "privileged"),
        ("replication: [logical]", "replication"),
        ("replication: [logical, physical], ask: {all: [realm]}, issuers: [corp]", "replication"),
    ],
)
def test_a_veto_that_somebody_might_escape_is_not(tmp_path: Path, other: str, escapes: str) -> None:
    (problem,) = [one for one in found(tmp_path, GOOD + VETO.replace("OTHER", other)) if "notice" not in one]
    assert f"rules[4].{escapes}: " in problem
    assert 'would escape the veto of the rule "veto"' in problem


@pytest.mark.parametrize(
    ("other", "change"),
    [
        ("privileged: true, ask: {all: [opa]}", ("", "")),
        ("replication: [logical], ask: {all: [opa]}", ("", "")),
        ("privileged: true", ('roles: ["*"]', 'roles: ["app_*", reports]')),
        ("privileged: true", ('databases: ["app*"]', "databases: [payroll]")),
        ("privileged: true", ('roles: ["*"]', "roles: [root], privileged: true")),
        ("replication: [logical]", ('roles: ["*"]', 'roles: ["*"], replication: [physical]')),
        ("any_group: [/x]", ("", "")),
    ],
)
def test_a_veto_that_nobody_escapes(tmp_path: Path, other: str, change: tuple[str, str]) -> None:
    problems = found(tmp_path, GOOD + VETO.replace("OTHER", other).replace(*change))
    assert [one for one in problems if "notice" not in one] == []
