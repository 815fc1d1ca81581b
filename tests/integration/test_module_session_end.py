"""The session ends when the answer said, whatever the session does or went through."""

import contextlib
import select
from typing import Any

import psycopg
import pytest

from tests.integration.fix_postgres import BearerServer, MakeServer
from tests.lying_service import LyingService
from tests.parts.processes import wait_until

SOON = 1.0
"""Seconds that a session is allowed."""

PATIENCE = 20.0


def end_comes(connection: psycopg.Connection[Any]) -> bool:
    """Wait until the server says something to an idle client, which is its farewell."""
    return bool(select.select([connection.fileno()], [], [], PATIENCE)[0])


ERRORS = {
    "nothing": [],
    "an error": ["SELECT 1/0"],
    "an error in a transaction": ["BEGIN", "SELECT 1/0"],
    "an error rolled back": ["BEGIN", "SELECT 1/0", "ROLLBACK"],
    "an error under a savepoint": ["BEGIN", "SAVEPOINT a", "SELECT 1/0", "ROLLBACK TO a"],
    "a second error in an aborted block": ["BEGIN", "SELECT 1/0", "SELECT 1"],
    "an error outside a transaction": ["COMMIT", "nonsense"],
    "a caught error": ["DO $$ BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END $$"],
    "a statement timeout": ["SET statement_timeout = 1", "SELECT pg_sleep(10)", "RESET statement_timeout"],
    "DISCARD ALL": ["DISCARD ALL"],
    "other timeouts": ["SET idle_session_timeout = 0", "SET transaction_timeout = 0", "SET lock_timeout = 0"],
}


HARMLESS = (
    psycopg.errors.DivisionByZero,
    psycopg.errors.InFailedSqlTransaction,
    psycopg.errors.SyntaxError,
    psycopg.errors.QueryCanceled,
)
"""The errors that are asked for; the end of the session is none of them."""


@pytest.mark.parametrize("what", ERRORS)
def test_idle_session_ends_after(what: str, bearer: BearerServer, liar: LyingService) -> None:
    liar.allow(ends_in=SOON)
    connection = bearer.login()
    for statement in ERRORS[what]:
        with contextlib.suppress(*HARMLESS):
            connection.execute(statement)
    assert end_comes(connection)
    with pytest.raises(psycopg.errors.AdminShutdown, match="terminating connection due to administrator command"):
        connection.execute("SELECT 1")
    connection.close()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT pg_sleep(60)",
        "DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$",
        "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$",
    ],
)
def test_running_query_ends(query: str, bearer: BearerServer, liar: LyingService) -> None:
    liar.allow(ends_in=SOON)
    with bearer.login() as connection, pytest.raises(psycopg.errors.AdminShutdown):
        connection.execute(query)


def test_replication_ends(bearer: BearerServer, liar: LyingService) -> None:
    """A walsender that streams has no client to wait for, and its SIGTERM is the same."""
    bearer.sql("CREATE ROLE standby LOGIN REPLICATION")
    position = bearer.sql("SELECT pg_current_wal_flush_lsn()")
    liar.allow(ends_in=SOON)
    connection = bearer.login("standby", replication="database")
    connection.pgconn.send_query(f"START_REPLICATION PHYSICAL {position}".encode())
    started = connection.pgconn.get_result()
    assert started
    assert started.status == psycopg.pq.ExecStatus.COPY_BOTH
    wait_until(lambda: bearer.sql("SELECT count(*) FROM pg_stat_replication") == "0", PATIENCE, "replication to end")
    connection.close()
    bearer.sql("DROP ROLE standby")


def test_end_is_logged_with_the_decision(bearer: BearerServer, liar: LyingService) -> None:
    liar.allow(ends_in=SOON, decision_id="01JDENDS")
    with bearer.login() as connection:
        assert end_comes(connection)
    said = "DETAIL:  Decision 01JDENDS allowed it until then."
    wait_until(lambda: said in bearer.log, PATIENCE, "the backend to log its end", pause=0.01)
    assert "LOG:  OAuth session ended: its time is over" in bearer.log


def test_earlier_of_moment_and_duration_counts(bearer: BearerServer, liar: LyingService) -> None:
    liar.allow(ends_in=3600, ends_in_ms=int(SOON * 1000))
    with bearer.login() as connection:
        assert end_comes(connection)


def test_session_without_end_stays(bearer: BearerServer, liar: LyingService) -> None:
    liar.allow(ends_in=SOON)
    ending = bearer.login()
    liar.allow()
    endless = bearer.login()
    assert end_comes(ending)
    assert endless.execute("SELECT 1").fetchone() == (1,)
    ending.close()
    endless.close()


def test_left_before_its_end_is_not_logged_as_ended(bearer: BearerServer, liar: LyingService) -> None:
    liar.allow(ends_in=3600, decision_id="01JDLEFT")
    bearer.login().close()
    bearer.sql("SELECT 1")
    assert "01JDLEFT allowed it until then" not in bearer.log


def test_programs_of_the_session_are_not_hit(bearer: BearerServer, liar: LyingService) -> None:
    """fork(2) hands no timer on: a program that COPY runs when the time is over finishes its work."""
    liar.allow(ends_in=SOON)
    done = bearer.data / "program-finished"
    copy = f"COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; sleep 2; touch {done}'"
    bearer.sql("GRANT pg_execute_server_program TO app")
    connection = bearer.login()
    with contextlib.suppress(psycopg.OperationalError):  # whether the end reaches this statement is a race
        connection.execute(copy)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()
    bearer.sql("REVOKE pg_execute_server_program FROM app")
    assert done.exists()


def test_end_during_the_rest_of_authentication_is_a_refusal(bearer: BearerServer, liar: LyingService) -> None:
    """Whatever the timer hits in these first moments, it is one backend's FATAL and nothing more (see `bearer`)."""
    for milliseconds in range(1, 21):
        liar.allow(ends_in=milliseconds / 1000)
        with contextlib.suppress(psycopg.OperationalError), bearer.login() as connection:
            assert end_comes(connection)
    assert bearer.sql("SELECT 1") == "1"


def test_timer_that_cannot_be_set_is_a_refusal(postgres_server: MakeServer) -> None:
    server = postgres_server(under=("prlimit", "--sigpending=0", "--"))
    server.sql("CREATE ROLE app LOGIN")
    service = LyingService(server.socket)
    service.start()
    service.allow(ends_in=3600)
    assert server.refusal().startswith("session_end_failed")
    service.allow()
    server.login().close()
    service.stop()
