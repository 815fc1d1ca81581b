"""What the pages about explaining and testing show is what the commands print."""

import re
from pathlib import Path
from typing import Any

import pytest

from pgbearer import policy
from pgbearer.audit import Facts
from pgbearer.cli import main
from pgbearer.cli.explain import render
from pgbearer.config import Section, load
from pgbearer.policy.case_file import CaseFile, Expect, RequestOfCase, TokenOfCase, parse_cases
from pgbearer.policy.cases import run_case
from pgbearer.policy.explanation import explain_record
from pgbearer.wire import Hba
from tests.unit.logins import verified
from tests.unit.recorded_logins import recorded
from tests.unit.shipped import copy_examples

ROOT = Path(__file__).parents[2]
EXPLAIN = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
"""Whose examples are those that `--help` shows."""
TESTING = (ROOT / "docs" / "testing-a-policy.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "pgbearer.yaml"
NOON = 1_796_126_400
"""2026-12-01 12:00:00 UTC."""


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def carol() -> dict[str, Any]:
    """Her refusal, as the page about reading it has it."""
    token = verified(
        subject="c-4f7c",
        identity="corp:c-4f7c",
        display="carol",
        token_roles=frozenset(),
        issued_at=NOON,
        expires_at=NOON + 300,
    )
    return recorded(token) | {
        "decision_id": "1f0a7c5b3d2e49f88a61",
        "time": "2026-12-01T12:00:03.120Z",
        "server": "pay-eu",
        "token_ref": "987d3bbd068c",
    }


def test_carols_explanation_is_what_the_page_shows() -> None:
    loaded = load(EXAMPLE, policy.compile, in_force=False)
    entry = carol() | {"policy": loaded.digest}
    explained = explain_record(entry, loaded.checked.policy, loaded.digest, loaded.settings.issuers).entry()
    assert "\n".join(render(explained)) + "\n" == blocks(EXPLAIN, "text")[0]


def test_every_fact_that_is_recorded_is_on_the_page() -> None:
    table = EXPLAIN[EXPLAIN.index("| `skew_ms`") :]
    assert set(re.findall(r"`(\w+)`", table[: table.index("\n\n")])) == set(carol()["facts"])
    assert Hba.__dataclass_fields__.keys() == carol()["facts"]["hba"].keys()
    assert Facts.__dataclass_fields__.keys() - {"skew"} == carol()["facts"].keys() - {"skew_ms"}


@pytest.mark.parametrize("block", [blocks(TESTING, "yaml")[0], blocks(COMMANDS, "yaml")[-1]])
def test_the_cases_on_the_page_pass(block: str) -> None:
    loaded = load(EXAMPLE, policy.compile, in_force=False)
    cases = parse_cases(block, "the page")
    assert cases.file.cases
    for at in range(len(cases.file.cases)):
        assert run_case(loaded.checked.policy, loaded.settings, cases, at).passed


@pytest.mark.parametrize(("kind", "head"), [(TokenOfCase, "token"), (RequestOfCase, "request"), (Expect, "expect")])
def test_every_key_of_a_case_is_on_the_page(kind: type[Section], head: str) -> None:
    table = TESTING[TESTING.index(f"| in `{head}` |") :]
    rows = table[: table.index("\n\n")].splitlines()[2:]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(kind.model_fields)
    assert set(CaseFile.model_fields) == {"version", "policy", "defaults", "cases"}


def test_who_can_prints_what_the_page_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (command,) = re.findall(r"^pgbearer (policy who-can .*)$", TESTING, re.MULTILINE)
    monkeypatch.chdir(ROOT)
    assert end(monkeypatch, *command.split()) == 0
    assert capsys.readouterr().out in blocks(TESTING, "text")


def test_a_difference_and_a_failing_case_look_as_the_page_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    new = copy_examples(tmp_path / "examples")
    new.write_text(EXAMPLE.read_text().replace("any_role: [db-read, db-write]", "any_role: [db-audit, db-write]", 1))
    assert end(monkeypatch, "policy", "diff", str(EXAMPLE), str(new)) == 1
    assert capsys.readouterr().out in blocks(TESTING, "text")
    assert end(monkeypatch, "policy", "test", "examples/pgbearer.cases.yaml", "-c", str(new)) == 1
    shown = capsys.readouterr().out.splitlines()
    (example,) = (block for block in blocks(TESTING, "text") if block.startswith("examples/"))
    assert set(example.splitlines()) <= set(shown), shown


def end(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of the command line."""
    monkeypatch.setattr("sys.argv", ["pgbearer", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code
