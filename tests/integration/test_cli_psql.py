"""`pgbearer psql` is psql: its arguments, its terminal, its signals, its exit code; only the login is ours."""

import fcntl
import shlex
import shutil
import struct
import sys
import termios
from collections.abc import Callable

import pytest

from tests.integration.fix_local import HOLDER, Local
from tests.parts.needs import PSQL
from tests.parts.postgres import embedded
from tests.parts.processes import wait_until
from tests.parts.terminal import Terminal
from tests.proxied import SECRET

WHO = "SELECT system_user, current_user, current_database()"
AS_APP = f"{HOLDER}|app|appdb\n"


@pytest.fixture(params=["18", "the system's"])
def program(request: pytest.FixtureRequest, need: Callable[..., None]) -> str:
    """A psql: of PostgreSQL 18, and the one of this system, which may be older than OAuth."""
    if request.param == "18":
        return psql_18()
    need(PSQL)
    return str(shutil.which("psql"))


def psql_18() -> str:
    return str(embedded().bin / "psql")


def test_an_upstream_by_its_name(local: Local, program: str) -> None:
    said = local.run("psql", "--psql", program, "appdb", "--", "-XAtc", WHO)
    assert (said.returncode, said.stdout, said.stderr) == (0, AS_APP, "")


@pytest.mark.parametrize("how", ["options", "string", "service", "environment", "url"])
def test_where_to_connect_is_said_as_to_psql(local: Local, how: str) -> None:
    port, ca_file = local.server.server.port, local.server.ca_file
    service = local.folder / "pg_service.conf"
    service.write_text("[mine]\n" + "\n".join(local.conninfo.split()) + "\noptions=-c search_path=from_service\n")
    there = {"PGSSLROOTCERT": str(ca_file), "PGHOSTADDR": "127.0.0.1"}
    names = {"PGHOST": "localhost", "PGPORT": str(port), "PGUSER": "app", "PGDATABASE": "appdb"}
    words: dict[str, tuple[list[str], dict[str, str]]] = {
        "options": (["-h", "localhost", "-p", str(port), "-U", "app", "-d", "appdb"], there),
        "string": ([local.conninfo], {}),
        "service": (["service=mine"], {"PGSERVICEFILE": str(service)}),
        "environment": ([], {**there, **names}),
        "url": ([f"postgresql://app@localhost:{port}/appdb?hostaddr=127.0.0.1&sslrootcert={ca_file}"], {}),
    }  # fmt: skip
    arguments, env = words[how]
    said = local.run("psql", "--psql", psql_18(), *arguments, "-XAtc", f"{WHO}; SHOW search_path", env=env)
    path = "from_service" if how == "service" else '"$user", public'
    assert (said.returncode, said.stdout, said.stderr) == (0, f"{AS_APP}{path}\n", "")


def test_another_database_and_another_role_ask_nobody(local: Local, program: str) -> None:
    local.server.server.sql("CREATE ROLE other LOGIN")
    try:
        script = f"\\c postgres\n{WHO};\n\\c appdb other\n{WHO};\n"
        said = local.run("psql", "--psql", program, "appdb", "-XAtq", said=script)
    finally:
        local.server.server.sql("DROP ROLE other")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == f"{HOLDER}|app|postgres\n{HOLDER}|other|appdb\n"


def test_what_client_toml_pins_is_held_to(local: Local) -> None:
    local.write(f'[upstreams.appdb]\nconninfo = "{local.conninfo}"\npin = ["dbname"]\n')
    said = local.run("psql", "appdb", "-XAtq", said="\\c postgres\n")
    assert "this upstream is for the database 'appdb' alone, not for 'postgres'" in said.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [(["-c", "SELECT 1/0"], 1), (["-v", "ON_ERROR_STOP=1", "-f", "-"], 3), (["-d", "nowhere"], 2), (["-c", "\\q"], 0)],
)
def test_its_exit_code_is_psqls(local: Local, words: list[str], code: int) -> None:
    assert local.run("psql", "appdb", "-X", *words, said="SELECT 1/0;").returncode == code


def test_a_psql_that_is_killed_ends_us_as_a_shell_would_have_it(local: Local) -> None:
    assert local.run("psql", "appdb", "-X", "-c", "\\! kill -KILL $PPID").returncode == 128 + 9


def test_interrupting_a_query_cancels_it_and_nothing_else(local: Local, program: str) -> None:
    command = local.command("psql", "--psql", program, "appdb", "-X")
    with Terminal(command, local.environment) as terminal:
        terminal.until("appdb=> ")
        terminal.type("SELECT 'asleep', pg_sleep(600);")
        wait_for_sleeper(local)
        terminal.press("C")
        terminal.until("canceling statement due to user request")
        terminal.until("appdb=> ")
        terminal.type("SELECT 40 + 2 AS answer;")
        terminal.until("42")
        terminal.type("\\c postgres")
        terminal.until("postgres=> ")
        terminal.press_until("C", "postgres=> ")  # at the prompt: a new line
        terminal.type("\\q")
        assert terminal.ends() == 0
    assert SECRET not in terminal.said


def test_a_shell_can_stop_it_and_go_on_with_it(local: Local) -> None:
    with Terminal(["bash", "--norc", "--noprofile", "-i"], {**local.environment, "PS1": "shell$ "}) as terminal:
        terminal.until("shell$ ")
        terminal.type(f"{shlex.join(local.command('psql', 'appdb', '-Xn'))}; echo code $?")
        terminal.until("appdb=> ")
        terminal.press("Z")
        terminal.until("Stopped")
        terminal.until("shell$ ")
        terminal.type("fg")
        terminal.type("SELECT 40 + 2 AS answer;")
        terminal.until("42")
        terminal.type("\\q")
        terminal.until("shell$ ")
        terminal.type("exit")
        terminal.ends()


def test_a_window_that_changes_its_size_is_the_programs(local: Local) -> None:
    script = (
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})\n"  # it may come before it is waited for
        "print('there', flush=True)\n"
        "signal.sigwait({signal.SIGWINCH})\n"
        "print(tuple(os.get_terminal_size()))\n"
    )
    with Terminal(local.command("run", "appdb", "--", sys.executable, "-c", script), local.environment) as terminal:
        terminal.until("there")
        fcntl.ioctl(terminal._ours, termios.TIOCSWINSZ, struct.pack("4H", 33, 77, 0, 0))
        terminal.until("(77, 33)")
        assert terminal.ends() == 0


def wait_for_sleeper(local: Local) -> None:
    wait_until(lambda: local.server.sessions("query LIKE '%asleep%' AND state = 'active'") == 1, 30, "the query to run")
