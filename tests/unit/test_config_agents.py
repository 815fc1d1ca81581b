"""Settings about agents, by table: one change to a good file, and what is said of it."""

from pathlib import Path

import pytest

from pgbearer import policy
from pgbearer.config import ConfigError, load

GOOD = """\
version: 1
issuers:
  corp:
    profile: keycloak
    issuer: https://sso.example.com/realms/corp
    audience: db:demo
    clients: [pgbearer-cli]
    agents:
      notes: {clients: [notes-tools]}
      mail: {clients: [mail-tools], subjects: [mail-bot], carries: [groups, department]}
    identity: "corp:{sub}"
    claims: {department: string}
deciders:
  opa: {type: opa, url: "https://opa.example.com/v1/data/pgbearer/login"}
  guard: {type: opa, url: "https://guard.example.com/v1/data/pgbearer/login"}
defaults: {session: {until: fixed, max: 10h}}
rules:
  - {name: readers, any_role: [db-read], databases: [appdb], roles: [app_readonly]}
  - {name: notes reads, any_role: [db-read], databases: [appdb], roles: [app_readonly], actor: [notes]}
  - {name: leavers, deny: true, any_group: [/leavers]}
"""
TOO = "another: {profile: keycloak, issuer: https://b.example, audience: a, clients: [c], identity: 'b:{sub}', %s}"


def problems(text: str, folder: Path) -> list[str]:
    """What is said of a file; warnings and notices apart."""
    path = folder / "pgbearer.yaml"
    path.write_text(text)
    path.chmod(0o600)
    try:
        load(path, policy.compile)
    except ConfigError as error:
        return [str(problem).removeprefix(f"{path}:") for problem in error.problems if problem.is_error]
    return []


def test_a_good_file(tmp_path: Path) -> None:
    assert problems(GOOD, tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("{clients: [notes-tools]}", "{}", "9:14 issuers.corp.agents.notes: nothing tells it from a person"),
        ("{clients: [notes-tools]}", "{client: [notes-tools]}", 'unknown key "client"; did you mean "clients"?'),
        ("[groups, department]", "[group]", '"group" is none of token_roles, groups, organizations, nor a declared'),
        ("{clients: [notes-tools]}", "{clients: [pgbearer-cli]}", '"pgbearer-cli" is among the clients of people too'),
        ("{clients: [notes-tools]}", "{clients: [mail-tools]}", '"mail-tools" is the agent "notes" already'),
        ("{clients: [notes-tools]}", "{subjects: [mail-bot]}", '"mail-bot" is the agent "notes" already'),
        (
            "issuers:\n",
            f"issuers:\n  {TOO % 'agents: {notes: {clients: [x]}}'}\n",
            'issuers.corp.agents.notes: issuer "another" has an agent of this name too',
        ),
        (
            "actor: [notes]",
            "actor: [note]",
            'rules[1].actor[0]: no agent "note" under issuers.NAME.agents; did you mean',
        ),
        ("actor: [notes]", "actor: []", "rules[1].actor: must have at least 1 item"),
        ("actor: [notes]", "actor: notes", "rules[1].actor: must be 'forbid' or 'require'"),
        ("actor: [notes]", "actor: [notes], tier: critical", "rules[1].actor: the critical tier is for people"),
        (
            "any_group: [/leavers]",
            "actor: forbid, any_group: [/leavers]",
            "rules[2].actor: a person would escape this deny rule by having an agent act",
        ),
        (
            "roles: [app_readonly]}",
            "roles: [app_readonly], ask: {all: [opa], veto: true}}",
            'rules[1].actor: a person would escape the veto of the rule "readers" by having an agent',
        ),
    ],
)
def test_one_change_is_refused(old: str, new: str, problem: str, tmp_path: Path) -> None:
    found = problems(GOOD.replace(old, new, 1), tmp_path)
    assert any(problem in one for one in found), found


VETO = ("roles: [app_readonly]}", "roles: [app_readonly], ask: {all: [opa], veto: true}}")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("actor: [notes]", "actor: [notes], ask: {all: [opa, guard]}"),
        ("databases: [appdb], roles: [app_readonly], actor", "databases: [other], roles: [app_readonly], actor"),
        ("roles: [app_readonly], actor", "roles: [notes_readonly], actor"),
    ],
)
def test_a_veto_that_no_agent_escapes_is_good(old: str, new: str, tmp_path: Path) -> None:
    assert problems(GOOD.replace(*VETO, 1).replace(old, new), tmp_path) == []


@pytest.mark.parametrize(
    "new",
    [
        "actor: [notes], ask: {any: [opa, guard]}",
        "actor: [notes], ask: {all: [guard]}",
        "actor: [notes], roles_from: {claim: groups}",
    ],
)
def test_a_veto_that_an_agent_might_escape_is_not(new: str, tmp_path: Path) -> None:
    assert problems(GOOD.replace(*VETO, 1).replace("actor: [notes]", new), tmp_path)
