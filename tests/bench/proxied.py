"""The local proxy beside a direct connection: a connect, a large COPY, and what connections at rest take."""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.bench.budget import Row
from tests.bench.footprint import resident
from tests.bench.logins import TRUST, WARM, Logins
from tests.bench.stage import Stage
from tests.bench.stats import median
from tests.parts import tls_postgres

__all__ = ["rows"]

AT_REST = 1000
"""Connections."""
_FILES = 8192
_MIB = 1024 * 1024
_TABLE = """
CREATE UNLOGGED TABLE bench_copy AS SELECT repeat('x', 1023) AS line FROM generate_series(1, 409600);
GRANT SELECT ON bench_copy TO bench_trust, bench_oauth
"""
"""With its end of line a row of COPY has 1,024 bytes: 400 MiB."""


@dataclass(frozen=True, slots=True)
class _Proxy:
    """A proxy in a process of its own, as people run it."""

    pid: int
    folder: Path

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(self.folder), dbname="postgres", user="bench_oauth")


def rows(stage: Stage, logins: Logins, connects: int = 200, rounds: int = 3) -> list[Row]:
    """The table. `connects` each way, one at a time and in turn; `rounds` of COPY each way, in turn."""
    stage.server.sql(_TABLE)
    with _running(logins) as proxy:
        bare = resident(proxy.pid)
        connect = _connects(proxy, logins, connects)
        copy = _copies(proxy, logins, rounds)
    with _running(logins) as proxy:
        at_rest = _with_connections_at_rest(proxy)
    return [*connect, *copy, *_memory(bare, at_rest)]


def _connects(proxy: _Proxy, logins: Logins, count: int) -> Sequence[Row]:
    direct, through = [], []
    for number in range(count + 10):
        took = logins.seconds(WARM, logins.warm)
        started = time.perf_counter()
        connection = proxy.connect()
        elapsed = time.perf_counter() - started
        connection.close()
        if number >= 10:  # the first ones ask whose token the server wants
            direct.append(took)
            through.append(elapsed)
    ratio = median(through) / median(direct)
    times = f"{median(through) * 1e3:.2f} ms, {median(direct) * 1e3:.2f} ms, {ratio:.2f}"
    return [Row("connect through the proxy, pgbearer.connect(): p50, and as a multiple", times, "<= 1.3", ratio <= 1.3)]


def _copies(proxy: _Proxy, logins: Logins, rounds: int) -> Sequence[Row]:
    where = {**logins.where, "user": "bench_trust"}
    direct = " ".join(f"{name}={value}" for name, value in where.items())
    ways = {TRUST: direct, "proxy": f"host={proxy.folder} dbname=postgres user=bench_oauth"}
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, conninfo in ways.items():
            seconds = _copy(conninfo)
            if number:  # the first round brings the table into memory
                taken[way].append(seconds)
    rate, own = (400 / median(taken[way]) for way in ("proxy", TRUST))
    share = rate / own
    what = "COPY of 400 MiB with psql: through the proxy, directly over TLS, as a share"
    return [Row(what, f"{rate:.0f} MiB/s, {own:.0f} MiB/s, {share:.2f}", ">= 0.85", share >= 0.85)]


def _copy(conninfo: str) -> float:
    psql = tls_postgres.installation() / "bin" / "psql"
    command: list[str | Path] = [psql, "-Xq", "-d", conninfo, "-c", r"\copy bench_copy TO '/dev/null'"]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def _with_connections_at_rest(proxy: _Proxy) -> int:
    """Resident bytes of the proxy while `AT_REST` clients are logged in and do nothing."""
    with ExitStack() as stack:
        for _ in range(AT_REST):
            stack.enter_context(proxy.connect())
        return resident(proxy.pid)


def _memory(bare: int, at_rest: int) -> Sequence[Row]:
    taken = at_rest - bare
    return [
        Row(f"{AT_REST:,} connections at rest", f"{taken / _MIB:.0f} MiB", "<= 60 MiB", taken <= 60 * _MIB),
        Row("the proxy with them, with none: resident", f"{at_rest / _MIB:.0f} MiB, {bare / _MIB:.0f} MiB"),
    ]


@contextmanager
def _running(logins: Logins) -> Iterator[_Proxy]:
    """One that serves with the warm token until the end of the block, and may have files enough open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES if most == resource.RLIM_INFINITY else min(_FILES, most), most))
    folder = Path(tempfile.mkdtemp(prefix="pgbearer-bench-proxy-", dir="/tmp"))
    conninfo = " ".join(f"{name}={value}" for name, value in logins.where.items())
    told = {"conninfo": conninfo, "issuer": logins.issuer, "token": logins.warm, "folder": str(folder / "proxy")}
    words = [sys.executable, "-m", "tests.proxy_process"]
    try:
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(told) + "\n")
            process.stdin.flush()
            process.stdout.readline()
            yield _Proxy(process.pid, folder / "proxy")
            process.stdin.close()
    finally:
        shutil.rmtree(folder)
