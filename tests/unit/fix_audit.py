"""An audit file and its log, opened anew as after restarts."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pgbearer.audit import AuditLog

Open = Callable[[], AuditLog]


@pytest.fixture
def audit_file(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def open_log(audit_file: Path) -> Iterator[Open]:
    logs: list[AuditLog] = []

    def open_log() -> AuditLog:
        """As after a restart: only one at a time may have it."""
        while logs:
            logs.pop().close()
        logs.append(AuditLog(str(audit_file), instance="one", patience=0))
        return logs[-1]

    yield open_log
    for log in logs:
        log.close()
