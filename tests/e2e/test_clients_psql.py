"""PostgreSQL's own programs by way of the proxy: from before OAuth, and those that would ask at each connection."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e.fix_proxy import Gate
from tests.e2e.fix_stack import LoginStack
from tests.parts import tls_postgres
from tests.parts.debian import INSIDE, OLD_CLIENTS, DebianRoot
from tests.parts.needs import DEBOOTSTRAP, ROOT
from tests.parts.terminal import Terminal

WHO = "SELECT system_user LIKE 'oauth:demo:%', current_user"


@pytest.fixture(scope="module")
def dumpable(stack: LoginStack) -> Iterator[None]:
    """Tables enough for four workers, with rows, and the rights to dump them."""
    names = [f"dumped_{number}" for number in range(8)]
    for name in names:
        stack.server.sql(f"CREATE TABLE {name} AS SELECT generate_series(1, 1000) AS number", "appdb")
    stack.server.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO app_readonly", "appdb")
    stack.server.sql("GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO app_readonly", "appdb")
    yield
    stack.server.sql(f"DROP TABLE {', '.join(names)}", "appdb")


@pytest.fixture
def old(need: Callable[..., None], gate: Gate) -> Callable[..., list[str]]:
    """Call it for the command line of a program of Debian 12's PostgreSQL 15, sent to the proxy."""
    need(ROOT, DEBOOTSTRAP)
    root = DebianRoot.of(OLD_CLIENTS).with_bind(gate.folder, INSIDE)
    where = [f"{name}={value}" for name, value in {**gate.where, "PGHOST": INSIDE}.items()]

    def command(*words: str) -> list[str]:
        return root.command("env", "TERM=dumb", *where, *words, user="root")

    return command


def run(command: Sequence[str | Path], gate: Gate | None = None) -> subprocess.CompletedProcess[str]:
    env = None if gate is None else gate.environment()
    return subprocess.run(command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)


def program(name: str) -> Path:
    return tls_postgres.installation() / "bin" / name


def test_old_psql_runs_a_command(old: Callable[..., list[str]]) -> None:
    assert run(old("psql", "--version")).stdout.startswith("psql (PostgreSQL) 15.")

    done = run(old("psql", "-XAtc", WHO))

    assert (done.returncode, done.stdout, done.stderr) == (0, "t|app_readonly\n", "")


@pytest.mark.parametrize(
    ("words", "status"),
    [(("-c", "SELECT 1/0"), 1), (("-U", "app_readwrite", "-c", "SELECT 1"), 2), (("-v", "ON_ERROR_STOP=1", "-f-"), 0)],
)
def test_old_psqls_exit_code_is_its_own(old: Callable[..., list[str]], words: Sequence[str], status: int) -> None:
    assert run(old("psql", "-X", *words)).returncode == status


def test_old_psql_connects_anew_in_a_session_and_asks_nobody(old: Callable[..., list[str]], gate: Gate) -> None:
    before = gate.logins
    with Terminal(old("psql", "-X", "--pset=pager=off")) as psql:
        psql.until("appdb=> ")
        psql.type(r"\c appdb")
        psql.until('You are now connected to database "appdb" as user "app_readonly".')
        psql.type(r"\c - app_readwrite")
        psql.until("Previous connection kept")
        psql.type("SELECT pg_backend_pid() > 0 AS still;")
        psql.until("(1 row)")
        psql.type(r"\q")
        assert psql.ends() == 0
    assert gate.logins == before + 2
    assert gate.asked <= 1


def test_ctrl_c_in_old_psql_cancels_the_query(old: Callable[..., list[str]], stack: LoginStack) -> None:
    with Terminal(old("psql", "-X", "--pset=pager=off")) as psql:
        psql.until("appdb=> ")
        psql.type("DO $$ BEGIN RAISE NOTICE 'it %', 'runs'; PERFORM pg_sleep(600); END $$;")
        psql.until("NOTICE:  it runs")
        psql.press("C")
        psql.until("ERROR:  canceling statement due to user request")
        psql.until("appdb=> ")
        psql.type("SELECT 40 + 2;")
        psql.until("42")
        psql.until("appdb=> ")  # before it, the end of input would be lost: readline has yet to set the terminal
        psql.press("D")
        assert psql.ends() == 0


@pytest.mark.usefixtures("dumpable")
def test_four_workers_of_pg_dump_connect_and_ask_nobody(gate: Gate, tmp_path: Path) -> None:
    before = gate.logins

    done = run([program("pg_dump"), "-j", "4", "-Fd", "-f", tmp_path / "dump"], gate)

    assert (done.returncode, done.stderr) == (0, "")
    assert gate.logins == before + 5, "the leader and four workers"
    assert gate.asked <= 1
    listed = run([program("pg_restore"), "--list", tmp_path / "dump"]).stdout
    assert listed.count("TABLE DATA public dumped_") == 8


def test_old_pg_dump_gets_in_and_will_not_dump_a_newer_server(old: Callable[..., list[str]]) -> None:
    done = run(old("pg_dump", "-j", "4", "-Fd", "-f", f"{INSIDE}/dump"))

    assert done.returncode == 1
    assert "server version mismatch" in done.stderr


def test_new_psql_asks_nobody(gate: Gate) -> None:
    before = gate.logins

    done = run([program("psql"), "-XAtc", WHO, "-c", r"\c", "-c", "SELECT 1"], gate)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "t|app_readonly"
    assert gate.logins == before + 2
    assert gate.asked <= 1


def test_pgbench_connects_anew_for_each_transaction(gate: Gate, tmp_path: Path) -> None:
    script = tmp_path / "script.sql"
    script.write_text("SELECT count(*) FROM notes;\n")
    before = gate.logins

    done = run([program("pgbench"), "-n", "-C", "-c", "4", "-j", "2", "-t", "25", "-f", script], gate)

    assert done.returncode == 0, done.stderr
    assert "number of transactions actually processed: 100/100" in done.stdout
    assert "number of failed transactions: 0 " in done.stdout
    assert gate.logins >= before + 100
    assert gate.asked <= 1
