"""`pgbearer decisions` on audit files: every filter, a moment or a length of time, and standard input."""

import io
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pgbearer.audit import Chain
from pgbearer.cli import main
from pgbearer.cli.explain import _token_in
from tests.unit.logins import verified
from tests.unit.recorded_logins import recorded


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """Three decisions: four hours, two hours and one minute old."""
    file = tmp_path / "audit.jsonl"
    entries = [
        (timedelta(hours=4), recorded(verified(identity="corp:old"), role="app_readwrite")),
        (timedelta(hours=2), recorded(verified(identity="corp:older"))),
        (timedelta(minutes=1), recorded(None, reason=_reason("token_expired"))),
    ]
    now = datetime.now(UTC)
    lines = [entry | {"kind": "decision", "time": (now - age).isoformat()} for age, entry in entries]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def _reason(name: str) -> Any:
    from pgbearer.wire import Reason

    return next(reason for reason in Reason if reason.value == name)


def found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> list[str]:
    """The reasons of what is listed."""
    monkeypatch.setattr(sys, "argv", ["pgbearer", "decisions", "list", "--json", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    return [entry["reason"] for entry in json.loads(capsys.readouterr().out)]


@pytest.mark.parametrize(
    ("words", "reasons"),
    [
        ([], ["token_expired", "no_rule", "no_rule"]),
        (["--limit", "1"], ["token_expired"]),
        (["--since", "3h"], ["token_expired", "no_rule"]),
        (["--since", "90m"], ["token_expired"]),
        (["--since", "7d"], ["token_expired", "no_rule", "no_rule"]),
        (["--since", "2020-01-01"], ["token_expired", "no_rule", "no_rule"]),
        (["--since", "2999-01-01T00:00"], []),
        (["--identity", "corp:old"], ["no_rule"]),
        (["--role", "app_readwrite"], ["no_rule"]),
        (["--reason", "token_expired"], ["token_expired"]),
        (["--reason", "no_rule", "--since", "3h"], ["no_rule"]),
    ],
)
@pytest.mark.parametrize("option", ["--file", "--audit"])
def test_filters(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    audit: Path,
    option: str,
    words: list[str],
    reasons: list[str],
) -> None:
    assert found(monkeypatch, capsys, option, audit, *words) == reasons


def fails(monkeypatch: pytest.MonkeyPatch, *words: object) -> int | str | None:
    """How a command ends that does not go well."""
    monkeypatch.setattr(sys, "argv", ["pgbearer", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_a_reason_that_there_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], audit: Path
) -> None:
    assert fails(monkeypatch, "decisions", "list", "--reason", "norule", "--audit", audit) == 2
    assert "Did you mean no_rule?" in capsys.readouterr().err
    assert found(monkeypatch, capsys, "--reason", "allowed", "--audit", audit) == []


def test_another_file_is_no_page_of_findings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = tmp_path / "other.log"
    other.write_text("no line of a chain\n" * 100)
    assert fails(monkeypatch, "decisions", "verify", other) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[19:] == [
        "line 20 is not a line of the chain",
        "and 80 more, all of them with --json",
        "100 lines, THE CHAIN IS BROKEN",
    ]


@pytest.mark.parametrize("words", [["list"], ["show", "d1"]])
def test_a_file_that_is_no_audit_is_not_taken_for_an_empty_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, audit: Path, words: list[str]
) -> None:
    other = tmp_path / "other.log"
    other.write_text('no line of an audit\n{"level": "info", "message": "listening"}\n[7]\n')
    assert fails(monkeypatch, "decisions", *words, "--file", audit, "--file", other) == 2
    assert f"{other}: no audit file: none of its lines is one of an audit" in capsys.readouterr().err


def test_an_audit_without_decisions_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh.jsonl"
    for text in ("", '{"seq":1,"prev":"","kind":"start"}\n'):
        fresh.write_text(text)
        assert found(monkeypatch, capsys, "--file", fresh) == []


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_of_nothing_the_chain_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, option: list[str]
) -> None:
    """Whoever can write the file can empty it."""
    empty = tmp_path / "audit.jsonl"
    empty.touch()
    assert fails(monkeypatch, "decisions", "verify", empty, *option) == 1
    said = capsys.readouterr().out
    assert "holds" not in said
    assert json.loads(said)["ok"] is False if option else "NOTHING TO VERIFY" in said


def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("explain", "--token-file", "-", "--role", "r", "--database", "d", "--address", "10.0.0.0/8")
    assert fails(monkeypatch, *words) == 2
    assert "no IP address" in capsys.readouterr().err


def test_of_a_device_that_never_ends_a_token_is_read() -> None:
    assert len(_token_in(Path("/dev/zero"))) == 1 << 20


STRANGE = (
    "[" * 100_000,
    json.dumps({"kind": "decision"}),
    json.dumps({"kind": "decision", "time": "today", "reason": "no_rule"}),
    json.dumps({"kind": "decision", "time": "2026-11-23T12:00:00", "reason": "no_rule"}),  # of no time zone
    json.dumps({"kind": "decision", "time": "2026-11-23T12:00:00Z", "reason": ["no_rule"]}),
    json.dumps({"kind": "decision", "time": "2026-11-23T12:00:00Z", "reason": "no_rule", "rules": 7}),
)


def test_lines_of_another_form_are_passed_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], audit: Path
) -> None:
    audit.write_text("\n".join((*STRANGE, audit.read_text())))
    assert found(monkeypatch, capsys, "--file", audit, "--since", "7d") == ["token_expired", "no_rule", "no_rule"]


def test_a_pipe_with_what_kubectl_puts_before_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], audit: Path
) -> None:
    piped = b"".join(b"[pod/pgbearer-0] " + line for line in audit.read_bytes().splitlines(keepends=True))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"starting\n" + piped)))
    assert len(found(monkeypatch, capsys, "--audit", "-")) == 3


def test_show_leaves_the_facts_to_explain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], audit: Path
) -> None:
    decision = json.loads(audit.read_text().splitlines()[0])["decision_id"]
    monkeypatch.setattr(sys, "argv", ["pgbearer", "decisions", "show", decision, "--audit", str(audit)])
    with pytest.raises(SystemExit):
        main()
    shown = capsys.readouterr().out
    assert "corp:old" in shown
    assert f"in full      pgbearer explain --decision {decision}\n" in shown
    assert "facts" not in shown


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            [
                {"decider": "opa", "answer": "no", "reason": "off duty", "ms": 3.1, "from": "decider"}
                | {"breaker": "closed", "last_yes_age": None}
            ],
            "asked        opa said no (off duty), 3.1 ms, breaker closed",
        ),
        (
            [
                {"decider": "opa", "answer": "unavailable", "reason": None, "ms": 0.1, "from": "breaker"}
                | {"breaker": "open", "last_yes_age": 5}
            ],
            "asked        opa is unavailable, not asked, breaker open",
        ),
        (
            [
                {"decider": "opa", "answer": "unknown", "reason": "no turn", "ms": 0.1, "from": "limit"}
                | {"breaker": "closed", "last_yes_age": None}
            ],
            "asked        opa was not asked (no turn)",
        ),
        ([{"decider": "opa"}], "asked        {'decider': 'opa'}"),
        ([], None),
    ],
)
def test_show_tells_what_deciders_said(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    audit: Path,
    asked: list[dict[str, Any]],
    expected: str | None,
) -> None:
    entry = json.loads(audit.read_text().splitlines()[0]) | {"asked": asked}
    audit.write_text(json.dumps(entry))
    monkeypatch.setattr(sys, "argv", ["pgbearer", "decisions", "show", entry["decision_id"], "--audit", str(audit)])
    with pytest.raises(SystemExit):
        main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("asked")]
    assert lines == ([expected] if expected else [])


def test_verify_tells_which_part_of_the_chain_it_saw(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Whoever can write the file can cut off its beginning, and what is left is a chain that holds."""
    chain, file = Chain(sequence=2, head="f" * 64), tmp_path / "audit.jsonl"
    for _ in range(2):
        line = chain.line({"kind": "note"})
        chain.accept(line)
        file.write_bytes((file.read_bytes() if file.exists() else b"") + line)
    monkeypatch.setattr(sys, "argv", ["pgbearer", "decisions", "verify", str(file)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.splitlines() == [
        "2 lines, the chain holds",
        f"from number 3 to 4, head {chain.head}",
        "numbers 1 to 2 are not here: give the older files too, if there are any",
    ]
