"""Memory and start: what the service and the module take."""

import re
from pathlib import Path

import psycopg

import pgbearer
from tests.bench.budget import Row
from tests.bench.logins import Logins
from tests.bench.stage import Stage
from tests.bench.stats import median

__all__ = ["resident", "rows"]

_KIB, _MIB = 1024, 1024 * 1024
_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ (?P<permissions>\S{4}) ")


def rows(stage: Stage, logins: Logins, token: str) -> list[Row]:
    """The tables of the fourth and fifth budgets. `token` is one of about 4 KiB."""
    service = resident(stage.service.pid)
    contexts, private, libraries = _module(logins, token)
    with stage.over_the_network():
        _, far, _ = _module(logins, token)
    return [
        Row(
            "service: resident (of it not mapped from files)",
            f"{service / _MIB:.0f} MiB ({resident(stage.service.pid, 'RssAnon') / _MIB:.0f})",
            "<= 80 MiB",
            service <= 80 * _MIB,
        ),
        Row(
            f"module: memory contexts of a backend after a login with {len(token)} bytes of token, beside one of trust",
            f"{contexts / _KIB:.1f} KiB",
            "<= 64 KiB",
            contexts <= 64 * _KIB,
        ),
        Row("module: its private memory, likewise", f"{private / _KIB:.0f} KiB", "<= 64 KiB", private <= 64 * _KIB),
        Row(
            "module: its private memory over the network, likewise (more than over a socket)",
            f"{far / _KIB:.0f} KiB ({(far - private) / _KIB:.0f})",
            "<= 192 KiB",
            far <= 192 * _KIB,
        ),
        Row(
            "module: libraries it has mapped that one of trust has not",
            ", ".join(sorted(libraries)) or "none",
            "none",
            not libraries,
        ),
        Row("service: start to ready", f"{stage.start_seconds:.2f} s", "< 1.5 s", stage.start_seconds < 1.5),
    ]


def resident(pid: int, kind: str = "VmRSS") -> int:
    """Resident bytes of a process, all or of one `kind` (proc(5), /proc/pid/status)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{kind}:")) * _KIB


def _module(logins: Logins, token: str) -> tuple[int, int, set[str]]:
    """What a backend has after an OAuth login, beside one of `trust`: bytes in contexts, private bytes, libraries.

    Private bytes are counted in whole pages, and differ by a few from one backend to the next: the median of several.
    """
    contexts, private = [], []
    for _ in range(9):
        ours = pgbearer.connect(token=token, issuer=logins.issuer, **{**logins.where, "user": "bench_oauth"})
        theirs = psycopg.connect(**{**logins.where, "user": "bench_trust"})
        with ours, theirs:
            private.append(_private(ours) - _private(theirs))  # first: asking for the contexts takes memory itself
            contexts.append(_total(ours) - _total(theirs))
            libraries = _libraries(ours) - _libraries(theirs)
    return int(median(contexts)), int(median(private)), libraries


def _private(connection: psycopg.Connection[object]) -> int:
    """Dirty bytes of its own: shared buffers that nobody else has touched yet are not among them (proc(5), smaps)."""
    total, counts = 0, False
    for line in Path(f"/proc/{connection.info.backend_pid}/smaps").read_text().splitlines():
        if mapping := _MAPPING.match(line):
            counts = mapping["permissions"].endswith("p")
        elif counts and line.startswith("Private_Dirty:"):
            total += int(line.split()[1]) * _KIB
    return total


def _libraries(connection: psycopg.Connection[object]) -> set[str]:
    maps = Path(f"/proc/{connection.info.backend_pid}/maps").read_text()
    return {Path(line.split()[-1]).name for line in maps.splitlines() if ".so" in line}


def _total(connection: psycopg.Connection[tuple[int]]) -> int:
    found = connection.execute("SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts").fetchone()
    assert found is not None
    return found[0]
