"""What lasts longer than a token: pools, servers that restart, machines that sleep, an issuer that is away.

Tokens live twenty seconds here, and sessions as long as their token. What a test waits for is seen in the database or
read from the token.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import QueuePool

from pgbearer.client.store import open_store
from tests.e2e.fix_brief import BriefStack
from tests.e2e.fix_proxy import SCOPE, Approving, Gate, conninfo, open_gate, person_source
from tests.parts.processes import wait_until

PATIENCE = 120.0


@pytest.fixture
def gate(brief: BriefStack) -> Iterator[Gate]:
    with open_gate(brief.stack) as gate:
        yield gate


def connect(gate: Gate) -> psycopg.Connection[Any]:
    return through(gate.where["PGHOST"])


def through(folder: str) -> psycopg.Connection[Any]:
    return psycopg.connect(host=folder, user="app_readonly", dbname="appdb", autocommit=True)


def backend(connection: psycopg.Connection[Any]) -> int:
    """Its pid as the server has it: the one that a client is told at its login is the proxy's."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def session_has_ended(brief: BriefStack, pid: int) -> bool:
    """Seen from outside the connection, which nobody has to use for it."""
    return str(pid) not in brief.stack.server.sql("SELECT pid FROM pg_stat_activity").split()


def test_an_sqlalchemy_pool_goes_on_when_its_sessions_have_ended(brief: BriefStack, gate: Gate) -> None:
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connect(gate), poolclass=QueuePool, pool_size=3, pool_pre_ping=True
    )
    pid_there = text("SELECT pg_backend_pid()")
    with engine.connect() as one, engine.connect() as other:
        first = {one.scalar(pid_there), other.scalar(pid_there)}
    for pid in first:
        wait_until(partial(session_has_ended, brief, pid), PATIENCE, "a session to end with its token")

    with engine.connect() as one, engine.connect() as other:
        second = {one.scalar(pid_there), other.scalar(pid_there)}
        assert one.scalar(text("SELECT note FROM notes WHERE id = 1")) == "made by make demo"

    engine.dispose()
    assert not first & second
    assert gate.logins == 4
    assert gate.asked == 1, "the login was renewed, and nobody asked again"


async def test_five_hundred_connect_at_once(gate: Gate) -> None:
    async def use() -> None:
        where = gate.where["PGHOST"]
        async with await psycopg.AsyncConnection.connect(host=where, user="app_readonly", dbname="appdb") as connection:
            await connection.execute("SELECT 1")

    await asyncio.gather(*(use() for _ in range(500)))

    status = gate.running.status()
    assert (status.logins, status.refused) == (500, 0)
    assert gate.asked == 1


def test_the_server_restarts_under_the_proxy(brief: BriefStack, gate: Gate) -> None:
    server = brief.stack.server
    with connect(gate) as connection:
        server.shut_down()
        try:
            with pytest.raises(psycopg.OperationalError, match="terminating connection due to administrator command"):
                connection.execute("SELECT 1")
            with pytest.raises(psycopg.OperationalError, match="cannot connect: Connection refused") as caught:
                connect(gate)
            assert "eyJ" not in str(caught.value)
        finally:
            server.start()

    with connect(gate) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert gate.asked == 1


def test_a_proxy_that_was_asleep_while_its_token_ended_renews_it(brief: BriefStack, tmp_path: Path) -> None:
    """A suspended machine is a process that is stopped while the world's time goes on."""
    store = open_store("file", folder=tmp_path / "state")
    person = Approving(brief.stack)
    grant = person_source(brief.stack, person, store).log_in()
    told = {
        "conninfo": conninfo(brief.stack),
        "issuer": brief.stack.issuer,
        "folder": str(tmp_path / "p"),
        "store": str(tmp_path / "state"),
        "scope": SCOPE,
        "ca_file": str(brief.stack.ca_file),
    }
    words = [sys.executable, "-m", "tests.proxy_process"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdin is not None
        assert proxy.stdout is not None
        proxy.stdin.write(json.dumps(told) + "\n")
        proxy.stdin.flush()
        assert proxy.stdout.readline() == "serving\n"
        with through(told["folder"]) as before:
            pid = backend(before)
            os.kill(proxy.pid, signal.SIGSTOP)
            wait_until(lambda: grant.access.expired(time.time()), PATIENCE, "the token to end")
            wait_until(partial(session_has_ended, brief, pid), PATIENCE, "the session to end")
            os.kill(proxy.pid, signal.SIGCONT)

            with through(told["folder"]) as after:
                assert after.execute("SELECT current_user").fetchone() == ("app_readonly",)
            with pytest.raises(psycopg.OperationalError, match="terminating connection"):
                before.execute("SELECT 1")
        proxy.stdin.close()
    assert proxy.returncode == 0
    assert person.asked == 1


def test_without_its_issuer_it_works_until_the_token_ends_and_then_says_so(brief: BriefStack, gate: Gate) -> None:
    """The last one here: nobody starts this Keycloak again."""
    with connect(gate) as connection:
        pid = backend(connection)
        brief.keycloak.process.stop(how=signal.SIGKILL)
        with connect(gate) as another:
            assert another.execute("SELECT 1").fetchone() == (1,)
        wait_until(partial(session_has_ended, brief, pid), PATIENCE, "the session to end with its token")
    held = gate.source.held
    assert held is not None
    wait_until(lambda: held.expired(time.time()), PATIENCE, "the token to end")  # of which the session's end is a hint

    with pytest.raises(psycopg.OperationalError, match="it cannot be renewed") as caught:
        connect(gate)

    assert brief.stack.issuer in str(caught.value)
    assert "eyJ" not in str(caught.value)
    assert gate.asked == 1
