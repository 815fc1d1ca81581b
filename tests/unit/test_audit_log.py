"""The audit file: what stands in it, when it refuses, how it goes on. Files are the subject here."""

import fcntl
import json
import os
import resource
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from pgbearer.audit import AuditLog, AuditUnavailable, verify_chain
from pgbearer.audit.sink import Sink
from pgbearer.errors import UsageError
from tests.parts.records import allowed_record
from tests.unit.audit_lines import entries, holds
from tests.unit.fix_audit import Open


def test_a_record_is_in_the_file_when_write_returns(open_log: Open, audit_file: Path) -> None:
    assert open_log().write(allowed_record()) is True
    (entry,) = entries(audit_file)
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


def test_the_file_is_for_its_owner_alone(open_log: Open, audit_file: Path) -> None:
    open_log()
    assert stat.S_IMODE(audit_file.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o644, 0o660])
def test_a_file_that_others_may_write_or_read_is_refused(audit_file: Path, open_log: Open, mode: int) -> None:
    audit_file.touch()
    audit_file.chmod(mode)
    with pytest.raises(UsageError, match="0600 or 0640"):
        open_log()


def test_a_file_that_its_group_may_read_is_taken(audit_file: Path, open_log: Open) -> None:
    audit_file.touch()
    audit_file.chmod(0o640)
    open_log().note("start")


def test_a_symbolic_link_is_not_followed(audit_file: Path, open_log: Open, tmp_path: Path) -> None:
    audit_file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditUnavailable):
        open_log()
    assert not (tmp_path / "elsewhere").exists()


def test_another_file_is_not_written_to(audit_file: Path, open_log: Open) -> None:
    audit_file.write_text("root:x:0:0\n")
    audit_file.chmod(0o600)
    with pytest.raises(UsageError, match="not an audit file"):
        open_log()
    assert audit_file.read_text() == "root:x:0:0\n"


def test_the_chain_continues_across_restarts(open_log: Open, audit_file: Path) -> None:
    for _ in range(3):
        log = open_log()
        log.note("start")
        log.write(allowed_record())
    assert [entry["seq"] for entry in entries(audit_file)] == [1, 2, 3, 4, 5, 6]
    assert holds(audit_file)


def test_the_chain_continues_after_a_torn_line(open_log: Open, audit_file: Path) -> None:
    open_log().note("start")
    with audit_file.open("ab") as file:
        file.write(b'{"seq":2,"prev"')
    open_log().note("start")
    assert holds(audit_file)
    assert json.loads(audit_file.read_bytes().splitlines()[-1])["torn"] is True


def test_a_torn_line_is_told_of(open_log: Open, audit_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    open_log().note("start")
    assert caplog.messages == []
    with audit_file.open("ab") as file:
        file.write(b'{"seq":2,"prev"')
    open_log()
    assert caplog.messages == [
        f"{audit_file} ends in a line that was cut short; the next one says so, the chain goes on"
    ]


@pytest.mark.parametrize("rotated", [False, True])
def test_a_crash_in_the_very_first_line_is_repaired(
    open_log: Open, audit_file: Path, tmp_path: Path, rotated: bool
) -> None:
    """Wherever it was cut, and if the file system left zeros in its place."""
    log = open_log()
    log.note("start")
    older = []
    if rotated:
        older = [audit_file.rename(tmp_path / "older")]
        log.reopen()
    whole = audit_file.read_bytes()
    shortest = len(b'{"seq":2,') if rotated else 1  # what is shorter does not say where the older file ended
    for part in [*(whole[:length] for length in range(shortest, len(whole))), *([] if rotated else [b"\0" * 100])]:
        audit_file.write_bytes(part)
        open_log().note("start")
        assert holds(*older, audit_file), part
        assert json.loads(audit_file.read_bytes().splitlines()[-1])["torn"] is True


def test_the_chain_continues_in_a_rotated_file(open_log: Open, audit_file: Path, tmp_path: Path) -> None:
    log = open_log()
    log.write(allowed_record())
    audit_file.rename(tmp_path / "audit.jsonl.1")
    log.write(allowed_record())
    log.reopen()
    log.write(allowed_record())
    assert len(entries(tmp_path / "audit.jsonl.1")) == 2
    assert [entry["kind"] for entry in entries(audit_file)] == ["reopen", "decision"]
    assert holds(tmp_path / "audit.jsonl.1", audit_file)


def test_a_new_file_that_cannot_be_used_leaves_the_old_one_in_use(
    open_log: Open, audit_file: Path, tmp_path: Path
) -> None:
    log = open_log()
    old = audit_file.rename(tmp_path / "old")
    audit_file.symlink_to(old)
    with pytest.raises(AuditUnavailable):
        log.reopen()
    log.write(allowed_record())
    assert len(entries(old)) == 1


def test_a_file_that_another_service_writes_is_refused(open_log: Open, audit_file: Path) -> None:
    open_log().note("start")
    with pytest.raises(UsageError, match="another service writes this audit file") as refused:
        AuditLog(str(audit_file), instance="two", patience=0)
    assert refused.value.where == str(audit_file)
    assert [entry["instance"] for entry in entries(audit_file)] == ["one"]


def test_a_successor_waits_for_its_predecessor_and_goes_on_where_it_ended(
    open_log: Open, audit_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = AuditLog(str(audit_file), instance="one", patience=0)

    def leaves(_: float) -> None:
        first.note("stop")
        first.close()

    monkeypatch.setattr("pgbearer.audit.holding.time.sleep", leaves)
    second = AuditLog(str(audit_file), instance="two", patience=60)
    second.note("start")
    second.close()
    assert [(entry["instance"], entry["seq"]) for entry in entries(audit_file)] == [("one", 1), ("two", 2)]
    assert holds(audit_file)
    assert caplog.messages == [f"{audit_file} is held by another service; waiting up to 60 s for it to end"]


def test_a_predecessor_that_rotates_meanwhile_is_still_waited_for(
    audit_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = AuditLog(str(audit_file), instance="one", patience=0)

    def rotates(_: float) -> None:
        audit_file.rename(tmp_path / "older")
        first.reopen()
        monkeypatch.setattr("pgbearer.audit.holding.time.sleep", lambda _: first.close())

    monkeypatch.setattr("pgbearer.audit.holding.time.sleep", rotates)
    second = AuditLog(str(audit_file), instance="two", patience=60)
    second.note("start")
    second.close()
    assert [entry["kind"] for entry in entries(audit_file)] == ["reopen", "start"]
    assert holds(audit_file)


def test_a_file_stays_held_when_it_is_reopened_in_place(open_log: Open, audit_file: Path) -> None:
    log = open_log()
    log.reopen()
    log.note("after")
    with pytest.raises(UsageError, match="another service"):
        AuditLog(str(audit_file), instance="two", patience=0)
    log.reopen()
    assert [entry["kind"] for entry in entries(audit_file)] == ["reopen", "after", "reopen"]


def test_a_rotated_file_is_let_go_and_the_new_one_held(open_log: Open, audit_file: Path, tmp_path: Path) -> None:
    log = open_log()
    log.note("start")
    older = audit_file.rename(tmp_path / "older")
    log.reopen()
    with pytest.raises(UsageError, match="another service"):
        AuditLog(str(audit_file), instance="two", patience=0)
    AuditLog(str(older), instance="two", patience=0).close()


def test_a_file_system_that_cannot_lock_is_refused(audit_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(_fd: int, _how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(AuditUnavailable, match="cannot lock the audit file: No locks available"):
        AuditLog(str(audit_file), instance="one", patience=0)


def test_a_deleted_file_takes_nothing_with_it_that_comes_after(
    open_log: Open, audit_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Written to a file without a name, a line is as good as not written: the login would leave no trace."""
    log = open_log()
    log.write(allowed_record())
    before = audit_file.read_bytes()
    audit_file.unlink()
    log.write(allowed_record())
    assert [(entry["kind"], entry.get("deleted")) for entry in entries(audit_file)] == [
        ("reopen", True),
        ("decision", None),
    ]
    assert not list(
        verify_chain([*before.splitlines(keepends=True), *audit_file.read_bytes().splitlines(keepends=True)])
    )
    assert caplog.messages == [f"{audit_file} was deleted, and its lines with it; the chain goes on in a new file"]


def test_what_is_put_in_place_of_a_deleted_file_must_be_fit_for_it(open_log: Open, audit_file: Path) -> None:
    log = open_log()
    audit_file.unlink()
    audit_file.touch(mode=0o666)
    audit_file.chmod(0o666)
    with pytest.raises(AuditUnavailable, match="was deleted, and the audit file is -rw-rw-rw-"):
        log.write(allowed_record())
    audit_file.unlink()
    log.write(allowed_record())
    assert [entry["kind"] for entry in entries(audit_file)] == ["reopen", "decision"]


def test_somebody_elses_file_is_not_written_to(
    open_log: Open, audit_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit_file.touch(mode=0o600)
    if os.geteuid() == 0:
        os.chown(audit_file, 4343, -1)
    else:
        monkeypatch.setattr("os.geteuid", lambda: 4242)
    with pytest.raises(UsageError, match=f"of uid {audit_file.stat().st_uid}"):
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
    open_log: Open, audit_file: Path, small_files: Callable[[int], None]
) -> None:
    log = open_log()
    log.write(allowed_record())
    size = audit_file.stat().st_size
    small_files(size + 100)
    for _ in range(2):
        with pytest.raises(AuditUnavailable):
            log.write(allowed_record())
    assert audit_file.stat().st_size == size
    small_files(resource.RLIM_INFINITY)
    log.write(allowed_record())
    assert [entry["seq"] for entry in entries(audit_file)] == [1, 2]
    assert holds(audit_file)


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


def test_an_fsync_error_is_seen(open_log: Open, audit_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log()

    def fail(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    log._syncer._sync(log._sink)
    assert log.fault == "Input/output error"


def test_what_an_fsync_error_leaves_in_doubt_is_said_before_anything_else(
    open_log: Open, audit_file: Path, monkeypatch: pytest.MonkeyPatch
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
    assert [entry["kind"] for entry in entries(audit_file)] == ["decision", "doubt", "decision", "decision"]
    doubt = entries(audit_file)[1]
    assert doubt["reason"] == "Input/output error"
    assert doubt["since"] <= doubt["time"]
    assert holds(audit_file)
