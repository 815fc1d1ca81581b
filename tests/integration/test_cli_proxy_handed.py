"""`pgbearer proxy` with sockets that systemd made, as our units have them; here the tests are the manager."""

import configparser
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.fix_chain import PGBEARER
from tests.integration.fix_local import HOLDER, Local
from tests.integration.test_cli_proxy import Started, started, status

UNITS = Path(__file__).parents[2] / "docs" / "systemd"
AS_SYSTEMD = """
import os, sys
for number, file in enumerate(map(int, sys.argv[1].split(",")), 3):
    os.dup2(file, number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class _Unit(configparser.RawConfigParser):
    """A unit file, in which a key may come again; the last counts, which is enough here."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def unit(name: str) -> _Unit:
    parsed = _Unit(strict=False)
    parsed.read(UNITS / name)
    return parsed


@contextmanager
def activated(
    local: Local, *listeners: socket.socket, names: str | None = None, words: tuple[str, ...] = ("start",)
) -> Iterator[Started]:
    """A proxy that was started with these sockets, as files from 3 on."""
    files = [listener.fileno() for listener in listeners]
    above = [os.dup(file) for file in files]
    environment = {**local.environment, "LISTEN_FDS": str(len(files))}
    if names is not None:
        environment["LISTEN_FDNAMES"] = names
    shim = [sys.executable, "-c", AS_SYSTEMD, ",".join(map(str, above)), PGBEARER, "proxy", *words, "--json"]
    try:
        with started(local, command=shim, env=environment, pass_fds=above) as proxy:
            yield proxy
    finally:
        for file in above:
            os.close(file)


@pytest.fixture
def listener(local: Local) -> Iterator[socket.socket]:
    """The socket that pgbearer-proxy.socket describes."""
    said = unit("pgbearer-proxy.socket")["Socket"]
    path = Path(said["ListenStream"].replace("%t", local.environment["XDG_RUNTIME_DIR"]))
    path.parent.mkdir(mode=int(said["DirectoryMode"], 8), parents=True)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        path.chmod(int(said["SocketMode"], 8))
        made.listen()
        yield made


def service_words() -> tuple[str, ...]:
    """What pgbearer-proxy.service starts, after `pgbearer proxy`."""
    program, first, *words = unit("pgbearer-proxy.service")["Service"]["ExecStart"].split()
    assert (program.rpartition("/")[2], first) == ("pgbearer", "proxy")
    return tuple(words)


def test_the_units_serve_the_upstream_of_the_folders_name(local: Local, listener: socket.socket) -> None:
    with activated(local, listener, words=service_words()) as proxy:
        assert proxy.said["upstreams"][0]["host"] == str(Path(listener.getsockname()).parent)
        with proxy.connect() as connection:
            assert connection.execute("SELECT system_user").fetchone() == (HOLDER,)
        assert [one["name"] for one in status(local)] == ["appdb"]
        assert proxy.stop()[0] == 0
    assert Path(listener.getsockname()).exists(), "it is the service manager's"


def test_it_is_ready_without_a_token_and_says_to_programs_how_to_get_one(local: Local, listener: socket.socket) -> None:
    (local.folder / "token").unlink()
    with activated(local, listener) as proxy:
        with pytest.raises(psycopg.OperationalError, match="token"):
            proxy.connect()
        (local.folder / "token").touch(mode=0o600)
        (local.folder / "token").write_text("a-token-that-came-later")
        proxy.connect().close()


def test_a_socket_of_the_loopback_is_behind_a_secret(local: Local) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, activated(local, tcp, names="appdb") as proxy:
        door = proxy.door()
        assert Path(door["passfile"]).stat().st_mode & 0o7777 == 0o600
        proxy.connect().close()
        with pytest.raises(psycopg.OperationalError, match="password"):
            proxy.connect(passfile="/dev/null/none")


def refused(local: Local, *listeners: socket.socket, **how: Any) -> str:
    with pytest.raises(AssertionError) as caught, activated(local, *listeners, **how):
        pass
    return str(caught.value)


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o644])
def test_a_socket_that_is_open_to_others_is_refused(local: Local, listener: socket.socket, mode: int) -> None:
    Path(listener.getsockname()).chmod(mode)
    assert "open to others" in refused(local, listener)


def test_a_socket_in_a_folder_that_others_may_write_is_refused(local: Local, listener: socket.socket) -> None:
    Path(listener.getsockname()).parent.chmod(0o777)
    assert "others may" in refused(local, listener)


def test_an_abstract_socket_is_refused(local: Local) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("\0pgbearer-test-of-abstract-sockets")
        made.listen()
        assert "an abstract socket is open to everybody" in refused(local, made, names="appdb")


def test_a_socket_of_the_network_is_refused(local: Local) -> None:
    with socket.create_server(("0.0.0.0", 0)) as tcp:  # noqa: S104  what must be refused
        assert "the proxy listens on the loopback only" in refused(local, tcp, names="appdb")


def test_sockets_of_no_upstream_and_upstreams_without_a_socket_are_refused(
    local: Local, listener: socket.socket
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        assert "'web' is for none of the upstreams appdb" in refused(local, listener, tcp, names="appdb:web")
    local.write(f'[upstreams.appdb]\nconninfo = "{local.conninfo}"\n[upstreams.more]\nconninfo = "{local.conninfo}"\n')
    assert "no socket was handed over for more" in refused(local, listener)
