"""Memory and start: what the service and the module take."""

from pathlib import Path

import psycopg

import pgbearer
from tests.bench.budget import Row
from tests.bench.logins import Logins
from tests.bench.stage import Stage

__all__ = ["rows"]

_KIB, _MIB = 1024, 1024 * 1024


def rows(stage: Stage, logins: Logins, token: str) -> list[Row]:
    """The tables of the fourth and fifth budgets. `token` is one of about 4 KiB."""
    service = _rss(stage.service.pid)
    module = _context_bytes(logins, token)
    return [
        Row("service: resident", f"{service / _MIB:.0f} MiB", "<= 80 MiB", service <= 80 * _MIB),
        Row(
            f"module: kept in a backend after a login with {len(token)} bytes of token",
            f"{module / _KIB:.1f} KiB",
            "<= 64 KiB",
            module <= 64 * _KIB,
        ),
        Row("service: start to ready", f"{stage.start_seconds:.2f} s", "< 1.5 s", stage.start_seconds < 1.5),
    ]


def _rss(pid: int) -> int:
    """Resident bytes (proc(5), VmRSS)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * _KIB


def _context_bytes(logins: Logins, token: str) -> int:
    """What a backend holds in memory contexts after an OAuth login, less what one has after `trust`."""
    ours = pgbearer.connect(token=token, issuer=logins.issuer, **{**logins.where, "user": "bench_oauth"})
    theirs = psycopg.connect(**{**logins.where, "user": "bench_trust"})
    with ours, theirs:
        return _total(ours) - _total(theirs)


def _total(connection: psycopg.Connection[tuple[int]]) -> int:
    found = connection.execute("SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts").fetchone()
    assert found is not None
    return found[0]
