"""The worked example about agents: its policy decides as its cases say, and the page about it shows what there is."""

import json
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pgbearer import policy
from pgbearer.cli import main
from pgbearer.cli.explain import render
from pgbearer.config import Loaded, load
from pgbearer.policy.case_file import parse_cases
from pgbearer.policy.cases import run_case
from pgbearer.policy.explanation import explain_record
from pgbearer.verified import Actor
from pgbearer.wire import Hba, Reason
from tests.unit.logins import verified
from tests.unit.recorded_logins import recorded

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "agents"
PAGE = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
CASES = parse_cases((EXAMPLE / "pgbearer.cases.yaml").read_text(), "cases")
NOON = 1_796_126_400
"""2026-12-01 12:00:00 UTC."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def loaded() -> Loaded[policy.Compiled]:
    return load(EXAMPLE / "pgbearer.yaml", policy.compile, in_force=False)


def test_nothing_is_to_be_said_against_the_policy(loaded: Loaded[policy.Compiled]) -> None:
    assert loaded.warnings == ()


@pytest.mark.parametrize("at", range(len(CASES.file.cases)), ids=lambda at: CASES.file.cases[at].name)
def test_it_decides_as_its_cases_say(loaded: Loaded[policy.Compiled], at: int) -> None:
    result = run_case(loaded.checked.policy, loaded.settings, CASES, at)
    assert result.differences == (), result.why


def test_its_realm_gives_each_client_what_it_needs_and_no_more() -> None:
    realm = json.loads((EXAMPLE / "realm.json").read_text())
    clients = {client["clientId"]: client for client in realm["clients"]}
    assert clients.keys() == {"assistant", "notes-tools"}
    for client in clients.values():
        assert client["fullScopeAllowed"] is False
        assert client["directAccessGrantsEnabled"] is False
        assert "basic" in client["defaultClientScopes"]  # without it no sub
    assert "db:demo" not in str(clients["assistant"])
    assert "standard.token.exchange.enabled" not in str(clients["assistant"])
    assert "groups" in clients["notes-tools"]["defaultClientScopes"]  # which `carries` promises


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.split("\n")[0])
def test_what_the_page_shows_of_the_policy_stands_in_it(block: str) -> None:
    written = (EXAMPLE / "pgbearer.yaml").read_text()
    plain = re.sub(r" *#.*", "", written)
    assert dedent(re.sub(r" *#.*", "", block)).strip() in {*_parts(plain)}


def _parts(text: str) -> list[str]:
    """Every run of lines of a file, at its own indent, that begins where a section or an item does."""
    lines = text.split("\n")
    ends = range(len(lines) + 1)
    return [dedent("\n".join(lines[begin:end])).strip() for begin in ends for end in ends[begin:]]


@pytest.mark.parametrize("command", [line for block in blocks("sh") for line in block.splitlines()])
def test_the_commands_on_the_page_run(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.argv", command.split())
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0, capsys.readouterr()


def refusal() -> dict[str, Any]:
    """Of notes, when it asks for the role that writes."""
    token = verified(
        issuer_url="https://sso.example.com/realms/corp",
        subject="b-91d0",
        identity="corp:b-91d0",
        client="notes-tools",
        display="bob",
        audience=("db:demo",),
        scopes=frozenset({"openid", "db:demo"}),
        token_roles=frozenset({"app_readonly", "app_readwrite"}),
        claims={},
        issued_at=NOON,
        expires_at=NOON + 300,
        actor=Actor(name="notes", carries=frozenset({"groups"})),
    )
    line = Hba(issuer=token.issuer_url, scopes=("db:demo",), delegate=True, map=None)
    made = recorded(token, reason=Reason.AGENT_NOT_ALLOWED, rules=("writers",), role="app_readwrite", hba=line)
    return made | {
        "decision_id": "7c2e49f88a611f0a5b3d",
        "time": "2026-12-01T12:00:03.120Z",
        "server": "demo",
        "token_ref": "44b2c07e1a9d",
    }


def test_the_explanation_on_the_page_is_what_is_printed(loaded: Loaded[policy.Compiled]) -> None:
    entry = refusal() | {"policy": loaded.digest}
    explained = explain_record(entry, loaded.checked.policy, loaded.digest, loaded.settings.issuers).entry()
    shown = "\n".join(render(explained))
    for line in blocks("text")[0].splitlines():
        assert line in ("  ...", *shown.splitlines()), shown
