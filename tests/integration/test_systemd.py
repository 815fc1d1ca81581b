"""What a service manager hands over: sockets are taken once, if they are for us; code of the environment never is."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgbearer.errors import UsageError
from pgbearer.systemd import inherited_sockets

UNITS = Path(__file__).parents[2] / "docs" / "systemd"
LOOK = """
import os, sys
from pgbearer.errors import UsageError
from pgbearer.systemd import inherited_sockets
try:
    handed = inherited_sockets()
except UsageError as error:
    sys.exit(error.diagnostics())
print(*(f"{each.name}={each.socket.getsockname()} {each.socket.get_inheritable()}" for each in handed))
print(sorted(name for name in os.environ if name.startswith("LISTEN_")), inherited_sockets())
"""
AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid() + int(sys.argv[2]))
os.execv(sys.executable, [sys.executable, "-c", sys.argv[3]])
"""


@pytest.fixture
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path_factory.mktemp("s") / "socket"))
        made.listen()
        yield made


def start(
    handed: socket.socket, *, pid: int = 0, count: str = "1", names: str | None = "appdb"
) -> subprocess.CompletedProcess[str]:
    """Start a program as systemd does: the socket is its file 3, and the variables say so."""
    env = {**os.environ, "LISTEN_FDS": count, **({"LISTEN_FDNAMES": names} if names is not None else {})}
    command = [sys.executable, "-c", AS_SYSTEMD, str(handed.fileno()), str(pid), LOOK]
    return subprocess.run(command, env=env, pass_fds=[handed.fileno()], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("names", "name"), [("appdb", "appdb"), (None, "unknown")])
def test_a_socket_is_taken_once_and_handed_to_nobody_else(
    listener: socket.socket, names: str | None, name: str
) -> None:
    said = start(listener, names=names)
    assert said.stderr == ""
    assert said.stdout == f"{name}={listener.getsockname()} False\n[] ()\n"


def test_sockets_of_another_process_are_left_alone(listener: socket.socket) -> None:
    assert start(listener, pid=1).stdout == "\n[] ()\n"


def test_what_does_not_listen_is_refused() -> None:
    one, other = socket.socketpair()
    with one, other:
        said = start(one)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr.startswith("socket 3 does not listen for streams\n")


@pytest.mark.parametrize(
    ("count", "names", "message"),
    [
        ("many", "appdb", "LISTEN_FDS is no number of sockets"),
        ("100000", "appdb", "LISTEN_FDS is no number of sockets"),
        ("1", "one:two", "LISTEN_FDNAMES has 2 names for 1 sockets"),
        ("2", "one:two", "which should be a socket, is none"),
    ],
)
def test_variables_that_say_something_else_are_refused(
    listener: socket.socket, count: str, names: str, message: str
) -> None:
    said = start(listener, count=count, names=names)
    assert (said.returncode, said.stdout) == (1, "")
    assert message in said.stderr


def test_nothing_is_handed_over_without_a_service_manager() -> None:
    assert inherited_sockets({}) == ()
    with pytest.raises(UsageError):
        inherited_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "-1"})


@pytest.mark.parametrize("name", ["pgbearer.service", "pgbearer-proxy-peers.service"])
def test_a_unit_of_the_machine_runs_no_code_of_the_environments(name: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('hostile code ran')\n")
    (line,) = (line for line in (UNITS / name).read_text().splitlines() if line.startswith("ExecStart="))
    here = str(Path(sys.executable).parent)
    program, *words = line.removeprefix("ExecStart=").replace("/opt/pgbearer/bin", here).split()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def ran(*command: str) -> bool:
        done = subprocess.run([*command, "--help"], env=environment, capture_output=True, text=True, check=False)
        assert done.stdout.startswith("Usage: pgbearer") or "hostile" in done.stderr
        return "hostile code ran" in done.stderr

    assert ran(sys.executable, f"{here}/pgbearer"), "the trap does not work"
    assert not ran(program, *words[: words.index(f"{here}/pgbearer") + 1])
