"""Rules that nobody uses, from audit lines."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pgbearer.audit import AuditLog, decisions_in
from pgbearer.audit.moved import unfinished_moves
from pgbearer.audit.usage import Usage, unused_rules
from pgbearer.cli import app
from pgbearer.config import load
from pgbearer.wire import Reason
from tests.parts.records import allowed_record

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SETTINGS = """\
version: 1
issuers:
  corp:
    profile: keycloak
    issuer: https://sso.example.com/realms/corp
    audience: db:pay-eu
    clients: [pgbearer-cli]
    identity: "corp:{sub}"
defaults: {session: {until: sso, max: 10h}}
rules:
  - {name: used, any_role: [a], databases: [appdb], roles: [app_readonly]}
  - {name: old, any_role: [b], databases: [appdb], roles: [app_readonly]}
  - {name: never, any_role: [c], databases: [appdb], roles: [app_readonly]}
  - {name: leavers, deny: true, any_group: [/leavers]}
"""


def line(time: str, *rules: str, kind: str = "decision") -> str:
    return json.dumps({"kind": kind, "time": time, "rules": list(rules)})


LINES = (
    line("2026-01-01T00:00:00Z", "old"),
    line("2026-02-01T00:00:00.000Z", "used", "old"),
    "torn by a cra",
    line("2026-11-20T00:00:00Z", "used"),
    line("2026-11-20T00:00:00Z", "never", kind="reload"),
    line("not a time", "never"),
    json.dumps({"kind": "decision", "time": "2026-11-20T00:00:00Z", "rules": None}),
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, *lines: str) -> Path:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)
        return path

    return write


def findings(settings: Path, *audit: Path, days: int = 90) -> list[str]:
    usage = Usage.of(decisions_in(audit))
    return [str(problem).partition(": ")[2] for problem in unused_rules(load(settings), usage, now=NOW, days=days)]


def test_allow_rules_that_decided_nothing_for_so_long(write: Callable[..., Path]) -> None:
    settings, audit = write("pgbearer.yaml", SETTINGS), write("audit.jsonl", *LINES)
    assert findings(settings, audit) == [
        'warning: nobody used the rule "old" for 90 days (last on 2026-02-01); remove it if nobody needs it',
        'warning: nobody used the rule "never" for 90 days (not once since 2026-01-01); remove it if nobody needs it',
    ]
    assert len(findings(settings, audit, days=300)) == 1
    assert len(findings(settings, audit, days=2)) == 3


def test_an_audit_that_does_not_reach_back_says_so(write: Callable[..., Path]) -> None:
    settings = write("pgbearer.yaml", SETTINGS)
    cannot = "it cannot tell which rules nobody used for 90 days"
    assert findings(settings, write("young.jsonl", *LINES[3:])) == [f"notice: the audit begins on 2026-11-20: {cannot}"]
    assert findings(settings, write("empty.jsonl")) == [f"notice: the audit holds no decision: {cannot}"]


def test_rotated_files_count_together(write: Callable[..., Path]) -> None:
    settings = write("pgbearer.yaml", SETTINGS)
    assert len(findings(settings, write("1", *LINES[:2]), write("2", *LINES[2:]))) == 2


def test_the_lines_that_the_service_writes_tell_it(write: Callable[..., Path], tmp_path: Path) -> None:
    audit = AuditLog(str(tmp_path / "real.jsonl"), instance="main")
    days_ago = {"old": 200, "used": 3, "never": 0}
    for name, days in days_ago.items():
        at = int((NOW - timedelta(days=days)).timestamp() * 1000)
        refused = {"reason": Reason.NO_RULE, "rules": (), "ends_at": None} if name == "never" else {"rules": (name,)}
        audit.write(allowed_record(at=at, decision_id=name, **refused))
    audit.close()
    found = findings(write("pgbearer.yaml", SETTINGS), tmp_path / "real.jsonl")
    assert [line.partition('"')[2].partition('"')[0] for line in found] == ["old", "never"]


def test_the_command_shows_them_with_their_place(write: Callable[..., Path]) -> None:
    settings, audit = write("pgbearer.yaml", SETTINGS), write("audit.jsonl", *LINES)
    days = (datetime.now(UTC) - datetime(2026, 1, 15, tzinfo=UTC)).days  # the command asks the clock; "old" was later
    words = ["config", "check", str(settings), "--audit", str(audit), "--unused-days", str(days), "--json"]
    result = CliRunner().invoke(app, words, standalone_mode=False)
    assert result.return_value == 0
    (problem,) = json.loads(result.output)["problems"]
    assert (problem["path"], problem["line"], problem["severity"]) == ("rules[2].name", 13, "warning")


MOVING = SETTINGS.replace(
    "defaults:",
    """\
  next:
    profile: keycloak
    issuer: https://sso.example.com/realms/next
    audience: db:pay-eu
    clients: [pgbearer-cli]
    identity: "corp:{sub}"
    replaces: corp
    until: 2999-12-31
defaults:""",
)


def login(time: str, issuer: str, identity: str, *, verified: bool = True) -> str:
    members = {"kind": "decision", "time": time, "rules": [], "verified": verified}
    return json.dumps({**members, "issuer": issuer, "identity": identity})


@pytest.mark.parametrize(
    ("lines", "finding"),
    [
        (
            [login("2026-01-01T00:00:00Z", "corp", "corp:a"), login("2026-11-20T00:00:00Z", "next", "corp:a")],
            'warning: nobody came by issuer "corp" for 90 days; 1 logins by "next"; remove the issuer "corp"',
        ),
        (
            [
                login("2026-01-01T00:00:00Z", "corp", "corp:a"),
                login("2026-11-21T00:00:00Z", "corp", "corp:b"),
                login("2026-11-21T00:00:00Z", "corp", "corp:a"),
                login("2026-11-20T00:00:00Z", "next", "corp:a"),
            ],
            'notice: 3 of 4 logins were by issuer "corp", of 2 identities, last 2026-11-21',
        ),
        (
            [login("2026-11-20T00:00:00Z", "next", "corp:a")],
            'notice: no login by issuer "corp" in this audit, which is too short to say that nobody needs it',
        ),
        (
            [login("2026-11-20T00:00:00Z", "corp", "corp:a", verified=False)],
            'notice: no login by issuer "corp" in this audit',
        ),
    ],
)
def test_who_still_comes_by_an_issuer_that_is_replaced(
    write: Callable[..., Path], lines: list[str], finding: str
) -> None:
    settings, audit = write("pgbearer.yaml", MOVING), write("audit.jsonl", *lines)
    usage = Usage.of(decisions_in([audit]))
    (problem,) = unfinished_moves(load(settings), usage, now=NOW, days=90)
    assert finding in str(problem)


def test_the_command_tells_of_moves(write: Callable[..., Path]) -> None:
    settings, audit = write("pgbearer.yaml", MOVING), write("audit.jsonl", login("2026-01-01T00:00:00Z", "next", "c:a"))
    result = CliRunner().invoke(app, ["config", "check", str(settings), "--audit", str(audit)], standalone_mode=False)
    assert (
        'issuers.next.replaces: warning: nobody came by issuer "corp" for 90 days; 1 logins by "next"' in result.output
    )
