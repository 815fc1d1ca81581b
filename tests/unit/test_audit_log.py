"""The audit file: what stands in it, when it refuses, how it goes on. Files are the subject here."""

import fcntl
import json
import os
import resource
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from pgbearer.audit import Aggregator, AuditLog, AuditUnavailable, DecisionRecord, verify_chain
from pgbearer.audit.aggregate import FIRST_IN_FULL, MOST_IDENTITIES, MOST_ROLES
from pgbearer.audit.sink import Sink
from pgbearer.errors import UsageError
from pgbearer.wire import Reason
from tests.parts.records import allowed_record, refused_record

Open = Callable[[], AuditLog]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def open_log(path: Path) -> Iterator[Open]:
    logs: list[AuditLog] = []

    def open_log() -> AuditLog:
        """As after a restart: only one at a time may have it."""
        while logs:
            logs.pop().close()
        logs.append(AuditLog(str(path), instance="one", patience=0))
        return logs[-1]

    yield open_log
    for log in logs:
        log.close()


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def holds(*paths: Path) -> bool:
    lines = [line for path in paths for line in path.read_bytes().splitlines(keepends=True)]
    return not list(verify_chain(lines))


def test_a_record_is_in_the_file_when_write_returns(open_log: Open, path: Path) -> None:
    assert open_log().write(allowed_record()) is True
    (entry,) = entries(path)
    assert entry | {"prev": "0" * 64} == entry
    assert {
        "seq": 1,
        "time": "2026-01-01T00:00:00.000Z",
        "instance": "one",
        "kind": "decision",
        "decision_id": "d1",
        "decision": "allow",
        "reason": "allowed",
        "rules": ["readers"],
        "policy": "f" * 12,
        "server": "local",
        "identity": "corp:u1",
        "display": "alice",
        "token_ref": "0123456789ab",
        "role": "app_readonly",
        "database": "appdb",
        "client": {"address": "192.0.2.7", "port": 50_000},
        "ends_at": "2026-01-01T01:00:00.000Z",
        "unverified": {"application_name": "psql"},
    }.items() <= entry.items()


def test_the_file_is_for_its_owner_alone(open_log: Open, path: Path) -> None:
    open_log()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o644, 0o660])
def test_a_file_that_others_may_write_or_read_is_refused(path: Path, open_log: Open, mode: int) -> None:
    path.touch()
    path.chmod(mode)
    with pytest.raises(UsageError, match="0600 or 0640"):
        open_log()


def test_a_file_that_its_group_may_read_is_taken(path: Path, open_log: Open) -> None:
    path.touch()
    path.chmod(0o640)
    open_log().note("start")


def test_a_symbolic_link_is_not_followed(path: Path, open_log: Open, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditUnavailable):
        open_log()
    assert not (tmp_path / "elsewhere").exists()


def test_another_file_is_not_written_to(path: Path, open_log: Open) -> None:
    path.write_text("root:x:0:0\n")
    path.chmod(0o600)
    with pytest.raises(UsageError, match="not an audit file"):
        open_log()
    assert path.read_text() == "root:x:0:0\n"


def test_the_chain_continues_across_restarts(open_log: Open, path: Path) -> None:
    for _ in range(3):
        log = open_log()
        log.note("start")
        log.write(allowed_record())
    assert [entry["seq"] for entry in entries(path)] == [1, 2, 3, 4, 5, 6]
    assert holds(path)


def test_the_chain_continues_after_a_torn_line(open_log: Open, path: Path) -> None:
    open_log().note("start")
    with path.open("ab") as file:
        file.write(b'{"seq":2,"prev"')
    open_log().note("start")
    assert holds(path)
    assert json.loads(path.read_bytes().splitlines()[-1])["torn"] is True


def test_a_torn_line_is_told_of(open_log: Open, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    open_log().note("start")
    assert caplog.messages == []
    with path.open("ab") as file:
        file.write(b'{"seq":2,"prev"')
    open_log()
    assert caplog.messages == [f"{path} ends in a line that was cut short; the next one says so, the chain goes on"]


@pytest.mark.parametrize("rotated", [False, True])
def test_a_crash_in_the_very_first_line_is_repaired(open_log: Open, path: Path, tmp_path: Path, rotated: bool) -> None:
    """Wherever it was cut, and if the file system left zeros in its place."""
    log = open_log()
    log.note("start")
    older = []
    if rotated:
        older = [path.rename(tmp_path / "older")]
        log.reopen()
    whole = path.read_bytes()
    shortest = len(b'{"seq":2,') if rotated else 1  # what is shorter does not say where the older file ended
    for part in [*(whole[:length] for length in range(shortest, len(whole))), *([] if rotated else [b"\0" * 100])]:
        path.write_bytes(part)
        open_log().note("start")
        assert holds(*older, path), part
        assert json.loads(path.read_bytes().splitlines()[-1])["torn"] is True


def test_the_chain_continues_in_a_rotated_file(open_log: Open, path: Path, tmp_path: Path) -> None:
    log = open_log()
    log.write(allowed_record())
    path.rename(tmp_path / "audit.jsonl.1")
    log.write(allowed_record())
    log.reopen()
    log.write(allowed_record())
    assert len(entries(tmp_path / "audit.jsonl.1")) == 2
    assert [entry["kind"] for entry in entries(path)] == ["reopen", "decision"]
    assert holds(tmp_path / "audit.jsonl.1", path)


def test_a_new_file_that_cannot_be_used_leaves_the_old_one_in_use(open_log: Open, path: Path, tmp_path: Path) -> None:
    log = open_log()
    old = path.rename(tmp_path / "old")
    path.symlink_to(old)
    with pytest.raises(AuditUnavailable):
        log.reopen()
    log.write(allowed_record())
    assert len(entries(old)) == 1


def test_a_file_that_another_service_writes_is_refused(open_log: Open, path: Path) -> None:
    open_log().note("start")
    with pytest.raises(UsageError, match="another service writes this audit file") as refused:
        AuditLog(str(path), instance="two", patience=0)
    assert refused.value.where == str(path)
    assert [entry["instance"] for entry in entries(path)] == ["one"]


def test_a_successor_waits_for_its_predecessor_and_goes_on_where_it_ended(
    open_log: Open, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = AuditLog(str(path), instance="one", patience=0)

    def leaves(_: float) -> None:
        first.note("stop")
        first.close()

    monkeypatch.setattr("pgbearer.audit.holding.time.sleep", leaves)
    second = AuditLog(str(path), instance="two", patience=60)
    second.note("start")
    second.close()
    assert [(entry["instance"], entry["seq"]) for entry in entries(path)] == [("one", 1), ("two", 2)]
    assert holds(path)
    assert caplog.messages == [f"{path} is held by another service; waiting up to 60 s for it to end"]


def test_a_predecessor_that_rotates_meanwhile_is_still_waited_for(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = AuditLog(str(path), instance="one", patience=0)

    def rotates(_: float) -> None:
        path.rename(tmp_path / "older")
        first.reopen()
        monkeypatch.setattr("pgbearer.audit.holding.time.sleep", lambda _: first.close())

    monkeypatch.setattr("pgbearer.audit.holding.time.sleep", rotates)
    second = AuditLog(str(path), instance="two", patience=60)
    second.note("start")
    second.close()
    assert [entry["kind"] for entry in entries(path)] == ["reopen", "start"]
    assert holds(path)


def test_a_file_stays_held_when_it_is_reopened_in_place(open_log: Open, path: Path) -> None:
    log = open_log()
    log.reopen()
    log.note("after")
    with pytest.raises(UsageError, match="another service"):
        AuditLog(str(path), instance="two", patience=0)
    log.reopen()
    assert [entry["kind"] for entry in entries(path)] == ["reopen", "after", "reopen"]


def test_a_rotated_file_is_let_go_and_the_new_one_held(open_log: Open, path: Path, tmp_path: Path) -> None:
    log = open_log()
    log.note("start")
    older = path.rename(tmp_path / "older")
    log.reopen()
    with pytest.raises(UsageError, match="another service"):
        AuditLog(str(path), instance="two", patience=0)
    AuditLog(str(older), instance="two", patience=0).close()


def test_a_file_system_that_cannot_lock_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(_fd: int, _how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(AuditUnavailable, match="cannot lock the audit file: No locks available"):
        AuditLog(str(path), instance="one", patience=0)


def test_a_deleted_file_takes_nothing_with_it_that_comes_after(
    open_log: Open, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Written to a file without a name, a line is as good as not written: the login would leave no trace."""
    log = open_log()
    log.write(allowed_record())
    before = path.read_bytes()
    path.unlink()
    log.write(allowed_record())
    assert [(entry["kind"], entry.get("deleted")) for entry in entries(path)] == [("reopen", True), ("decision", None)]
    assert not list(verify_chain([*before.splitlines(keepends=True), *path.read_bytes().splitlines(keepends=True)]))
    assert caplog.messages == [f"{path} was deleted, and its lines with it; the chain goes on in a new file"]


def test_what_is_put_in_place_of_a_deleted_file_must_be_fit_for_it(open_log: Open, path: Path) -> None:
    log = open_log()
    path.unlink()
    path.touch(mode=0o666)
    path.chmod(0o666)
    with pytest.raises(AuditUnavailable, match="was deleted, and the audit file is -rw-rw-rw-"):
        log.write(allowed_record())
    path.unlink()
    log.write(allowed_record())
    assert [entry["kind"] for entry in entries(path)] == ["reopen", "decision"]


def test_somebody_elses_file_is_not_written_to(open_log: Open, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch(mode=0o600)
    if os.geteuid() == 0:
        os.chown(path, 4343, -1)
    else:
        monkeypatch.setattr("os.geteuid", lambda: 4242)
    with pytest.raises(UsageError, match=f"of uid {path.stat().st_uid}"):
        open_log()


@pytest.fixture
def small_files() -> Iterator[Callable[[int], None]]:
    """Limit how long this process's files may grow (the kernel's own way to be full), and lift it again."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_records_whole_lines_or_nothing(
    open_log: Open, path: Path, small_files: Callable[[int], None]
) -> None:
    log = open_log()
    log.write(allowed_record())
    size = path.stat().st_size
    small_files(size + 100)
    for _ in range(2):
        with pytest.raises(AuditUnavailable):
            log.write(allowed_record())
    assert path.stat().st_size == size
    small_files(resource.RLIM_INFINITY)
    log.write(allowed_record())
    assert [entry["seq"] for entry in entries(path)] == [1, 2]
    assert holds(path)


def test_a_full_device_raises() -> None:
    sink = Sink(os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(AuditUnavailable, match="No space left"):
        sink.write(b"line\n")
    sink.close()


def test_a_collector_that_stops_reading_costs_a_refusal_and_not_the_service() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    sink = Sink(writer)
    for _ in range(fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ) // 4096):
        sink.write(b"x" * 4096)
    for _ in range(2):
        with pytest.raises(AuditUnavailable):
            sink.write(b"line\n")
    os.read(reader, 65536)
    assert sink.write(b"line\n") == 5
    os.close(reader)
    sink.close()


def test_a_disk_that_does_not_sync_refuses_until_it_does(open_log: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log()
    log.write(allowed_record())
    log._syncer.fault = "Input/output error"
    with pytest.raises(AuditUnavailable, match="Input/output error"):
        log.write(allowed_record())
    log.reopen()
    log.write(allowed_record())


def test_an_fsync_error_is_seen(open_log: Open, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log()

    def fail(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    log._syncer._sync(log._sink)
    assert log.fault == "Input/output error"


def test_what_an_fsync_error_leaves_in_doubt_is_said_before_anything_else(
    open_log: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next fsync succeeds, whatever became of the lines before."""
    log = open_log()
    log.write(allowed_record())
    with monkeypatch.context() as failing:
        failing.setattr(os, "fsync", Mock(side_effect=OSError(5, "Input/output error")))
        for _ in range(2):
            with log._syncer._lock:  # its own thread may be at it
                log._syncer._sync(log._sink)
            with pytest.raises(AuditUnavailable, match="Input/output error"):
                log.write(allowed_record())
    log._syncer._sync(log._sink)
    for _ in range(2):
        log.write(allowed_record())
    assert [entry["kind"] for entry in entries(path)] == ["decision", "doubt", "decision", "decision"]
    doubt = entries(path)[1]
    assert doubt["reason"] == "Input/output error"
    assert doubt["since"] <= doubt["time"]
    assert holds(path)


def test_a_flood_of_unverified_failures_becomes_a_number(open_log: Open, path: Path) -> None:
    log = open_log()
    at = 1_767_225_600_000
    own_lines = [log.write(refused_record(decision_id=f"d{n}", at=at)) for n in range(100)]
    assert own_lines == [True] * FIRST_IN_FULL + [False] * (100 - FIRST_IN_FULL)
    log.flush()
    *lines, last = entries(path)
    assert len(lines) == FIRST_IN_FULL
    assert all(line["verified"] is False for line in lines)
    assert {
        "kind": "aggregate",
        "verified": False,
        "count": 95,
        "server": "local",
        "reason": "signature_invalid",
        "last_decision_id": "d99",
        "since": "2026-01-01T00:00:00.000Z",
    }.items() <= last.items()
    log.flush()
    assert len(entries(path)) == FIRST_IN_FULL + 1
    assert holds(path)


def test_a_flood_hides_no_other_kind_nor_anything_verified(open_log: Open, path: Path) -> None:
    log = open_log()
    for _ in range(20):
        log.write(refused_record())
    assert log.write(refused_record(server="other"))
    assert log.write(refused_record(reason=Reason.TOKEN_EXPIRED))
    assert all(log.write(allowed_record(reason=Reason.NO_RULE)) for _ in range(20))
    assert all(log.write(allowed_record()) for _ in range(20))


def test_a_flood_of_one_issued_token_is_counted_and_hides_no_other_token(open_log: Open, path: Path) -> None:
    log = open_log()

    def refuse(token_ref: str) -> bool:
        return log.write(refused_record(reason=Reason.TOKEN_EXPIRED, authentic=True, token_ref=token_ref))

    assert [refuse("a" * 12) for _ in range(20)] == [True] * FIRST_IN_FULL + [False] * (20 - FIRST_IN_FULL)
    assert refuse("b" * 12)
    log.flush(everything=True)
    last = entries(path)[-1]
    assert (last["token_ref"], last["authentic"], last["count"]) == ("a" * 12, True, 20 - FIRST_IN_FULL)


def denied(
    identity: str, *, at: int = 0, role: str = "payroll_owner", reason: Reason = Reason.NO_RULE
) -> DecisionRecord:
    """A verified person whom no rule lets in; `at` in milliseconds."""
    start = 1_767_225_600_000
    return allowed_record(
        reason=reason, identity=identity, ends_at=None, role=role, at=start + at, decision_id=f"d{at}"
    )


def test_what_one_identity_is_denied_past_its_budget_is_counted(open_log: Open, path: Path) -> None:
    """A person without rights cannot fill the audit; what they were after can still be told."""
    log = open_log()
    log.limit(denials_per_minute=6)
    assert [log.write(denied("corp:mallory", at=n, role=f"r{n % 2}")) for n in range(100)] == [True] * 6 + [False] * 94
    assert log.write(denied("corp:alice"))
    assert all(log.write(allowed_record(identity="corp:mallory")) for _ in range(100))
    log.flush(everything=True)
    *_, last = entries(path)
    assert {
        "kind": "aggregate",
        "verified": True,
        "authentic": True,
        "identity": "corp:mallory",
        "roles": ["r0", "r1"],
        "token_ref": None,
        "reason": "no_rule",
        "count": 94,
        "last_decision_id": "d99",
    }.items() <= last.items()
    assert len(entries(path)) == 6 + 1 + 100 + 1
    assert holds(path)


def test_a_budget_fills_with_time_and_a_clock_set_back_takes_nothing(open_log: Open) -> None:
    log = open_log()
    log.limit(denials_per_minute=6)

    def lines(*moments: int) -> list[bool]:
        return [log.write(denied("corp:mallory", at=at)) for at in moments]

    assert lines(*[0] * 7) == [True] * 6 + [False]
    assert lines(9_000, 11_000, 11_000) == [False, True, False]
    assert lines(-60_000) == [False]
    assert lines(*[600_000] * 7) == [True] * 6 + [False]


def test_reasons_are_counted_apart_but_cost_one_budget(open_log: Open, path: Path) -> None:
    log = open_log()
    log.limit(denials_per_minute=1)
    for reason in (Reason.NO_RULE, Reason.NO_RULE, Reason.DENIED_BY_RULE, Reason.DENIED_BY_RULE):
        log.write(denied("corp:mallory", reason=reason))
    log.flush(everything=True)
    assert [(line["reason"], line.get("count")) for line in entries(path)] == [
        ("no_rule", None),
        ("no_rule", 1),
        ("denied_by_rule", 2),
    ]


def test_what_is_kept_of_identities_is_bounded() -> None:
    aggregator = Aggregator()
    aggregator.denials_per_minute = 1
    for number in range(MOST_IDENTITIES + 500):
        assert not aggregator.absorb(denied(f"corp:{number}"))
        aggregator.absorb(denied("corp:mallory", role=f"r{number}"))
    assert len(aggregator._budgets) == MOST_IDENTITIES
    assert aggregator.absorb(denied("corp:mallory")), "who is denied all the time is not forgotten"
    (tally,) = aggregator.pending()
    assert len(tally.roles) == MOST_ROLES


def test_closing_writes_what_was_still_counted(path: Path) -> None:
    log = AuditLog(str(path), instance="one")
    now = time.time_ns() // 1_000_000
    for _ in range(FIRST_IN_FULL + 3):
        log.write(refused_record(at=now))
    log.flush()
    assert len(entries(path)) == FIRST_IN_FULL
    log.close()
    assert entries(path)[-1]["count"] == 3
