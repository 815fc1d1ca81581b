"""The policy commands on files: what they print, as text and as JSON, and how they end."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pgbearer.cli import main
from tests.unit.recorded_logins import recorded
from tests.unit.shipped import copy_examples

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped example and its cases, to be changed."""
    return copy_examples(tmp_path / "examples").parent


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def end(*words: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["pgbearer", "policy", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, "".join(capsys.readouterr())

    return end


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_the_cases_name_their_policy(folder: Path, run: Run) -> None:
    cases = folder / "pgbearer.cases.yaml"
    code, said = run("test", cases)
    assert code == 0
    assert said == f"{cases}: 22 of 22 cases as they must be, by {folder / 'pgbearer.yaml'}\n"


def test_a_case_that_fails_is_shown_with_its_line(folder: Path, run: Run) -> None:
    change(folder / "pgbearer.yaml", "any_role: [db-read, db-write]", "any_role: [db-write]")
    cases = folder / "pgbearer.cases.yaml"
    code, said = run("test", cases)
    line = cases.read_text().splitlines().index("  - name: a reader reads") + 1
    assert code == 1
    assert said.splitlines()[:7] == [
        f"{cases}:{line}: a reader reads",
        "  - decision: allow",
        "  + decision: deny no_rule",
        "  - rules: readers",
        "  + rules: none",
        "  - ends_in: 36000 s",
        "  + ends_in: no session",
    ]
    assert (
        'the rule "readers" does not match: any_role asks for the token role db-write; the token\'s roles: db-read'
        in said
    )


def test_another_policy_can_be_given(folder: Path, run: Run) -> None:
    other = folder / "other.yaml"
    shutil.copyfile(folder / "pgbearer.yaml", other)
    other.chmod(0o600)
    change(other, "deny: true", "deny: false, databases: [appdb], roles: [x]".replace(", ", "\n    "))
    code, said = run("test", folder / "pgbearer.cases.yaml", "-c", other, "--json")
    told = json.loads(said)
    assert (code, told["ok"], told["policy"]) == (1, False, str(other))
    assert [case["name"] for case in told["cases"] if not case["passed"]] == [
        "a leaver has nothing, whatever the roles"
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["test", "/nonesuch"], "/nonesuch: cannot be read"),
        (["test", "/dev/zero"], "not YAML"),
        (["test", "FOLDER/pgbearer.yaml"], 'unknown key "issuers"; the keys here are version, policy, defaults, cases'),
        (["test", "FOLDER/pgbearer.cases.yaml", "-c", "/nonesuch"], "cannot be read"),
        (["diff", "FOLDER/pgbearer.yaml", "/nonesuch"], "cannot be read"),
        (["diff", "FOLDER/pgbearer.yaml", "FOLDER/pgbearer.yaml", "--audit", "/nonesuch"], "cannot be read"),
        (["who-can", "r", "d", "-c", "/nonesuch"], "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_ends_with_2(folder: Path, run: Run, words: list[str], said: str) -> None:
    code, told = run(*(word.replace("FOLDER", str(folder)) for word in words))
    assert code == 2
    assert said in told


def test_who_can(folder: Path, run: Run) -> None:
    code, said = run("who-can", "payroll_owner", "payroll", "-c", folder / "pgbearer.yaml")
    assert code == 0
    assert (
        'token role dba, server pay-eu, from 10.0.0.0/8, when claims.acr == "mfa", tier critical, until 2035-01-31'
        in said
    )
    assert 'group /leavers (deny rule "leavers")' in said
    code, said = run("who-can", "payroll_owner", "payroll", "-c", folder / "pgbearer.yaml", "--json")
    assert [way["rule"] for way in json.loads(said)["ways"]] == ["payroll admins"]


def test_who_can_when_nobody_can(folder: Path, run: Run) -> None:
    assert run("who-can", "payroll_owner", "nodb", "-c", folder / "pgbearer.yaml") == (
        1,
        "payroll_owner in nodb: nobody\n",
    )


def test_what_has_expired_is_said_to_be_past(folder: Path, run: Run) -> None:
    old, new = folder / "pgbearer.yaml", folder / "new.yaml"
    over = "  - {name: over, roles: [late], databases: [closed], expires: 2020-01-31}\n"
    new.write_text(old.read_text() + over)
    new.chmod(0o600)
    code, said = run("who-can", "late", "closed", "-c", new)
    assert code == 1
    assert "late in closed: nobody" in said
    assert "no longer: until 2020-01-31" in said
    assert '(rule "over" has expired)' in said
    code, said = run("diff", old, new)
    assert code == 0
    assert 'the rule "over" of the new file expired on 2020-01-31' in said
    assert json.loads(run("who-can", "late", "closed", "-c", new, "--json")[1])["past"][0]["rule"] == "over"
    assert len(json.loads(run("diff", old, new, "--json")[1])["expired"]) == 1


def test_the_same_file_twice_differs_in_nothing(folder: Path, run: Run) -> None:
    file = folder / "pgbearer.yaml"
    assert run("diff", file, file) == (0, "The rules give and refuse the same.\n")


def test_a_difference_by_rules_and_by_what_was_recorded(folder: Path, run: Run) -> None:
    old, new, audit = (folder / name for name in ("pgbearer.yaml", "new.yaml", "audit.jsonl"))
    shutil.copyfile(old, new)
    new.chmod(0o600)
    change(new, "any_role: [db-read, db-write]", "any_role: [db-write]")
    change(new, "audience: db:pay-eu", "audience: db:pay-us")
    audit.write_text(json.dumps({**recorded(None), "kind": "decision"}) + "\n")
    code, said = run("diff", old, new, "--audit", audit)
    assert code == 1
    assert said.splitlines() == [
        "LOSES  token role db-read",
        "    app_readonly in appdb",
        '    because the rule "readers" has changed: any_role db-read, db-write -> db-write',
        "ALSO DIFFERENT, outside of the rules",
        "    issuers.corp.audience: db:pay-eu -> db:pay-us",
        "",
        "Of 0 recorded decisions 0 would be others; 1 more were not the rules' to make.",
    ]
    code, said = run("diff", old, new, "--audit", audit, "--json")
    told = json.loads(said)
    assert (code, told["recorded"]["passed_over"]) == (1, 1)
    assert told["changes"][0]["kind"] == "loses"
