"""`pgbearer proxy`: it says how to come in, serves, says how it is, and ends as it is told."""

import json
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.fix_local import HOLDER, Local
from tests.parts.needs import ROOT
from tests.parts.processes import wait_until
from tests.proxied import ISSUER, SECRET

WHO = "SELECT system_user, current_user, current_database()"


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that other users can reach."""
    with tempfile.TemporaryDirectory(prefix="pgbearer-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@dataclass
class Started:
    """A running proxy, as it said it is."""

    process: "subprocess.Popen[str]"
    said: dict[str, Any]

    def door(self, index: int = 0) -> dict[str, Any]:
        """What to say to libpq."""
        door = self.said["upstreams"][index]
        where = {"host": door["host"], "port": door["port"], "user": door["user"], "dbname": door["database"]}
        return where | ({"passfile": door["passfile"]} if door["passfile"] else {})

    def connect(self, index: int = 0, **changes: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(**{**self.door(index), "autocommit": True, **changes})

    def stop(self) -> tuple[int, str]:
        """Its exit code and what it logged."""
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


@contextmanager
def started(local: Local, *words: str, command: list[str] | None = None, **how: Any) -> Iterator[Started]:
    """Start one and wait until it is ready; it is gone at the end."""
    command = command or local.command("proxy", *words, "--json")
    options = {"env": local.environment, "stdin": subprocess.DEVNULL, **how}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            yield Started(process, json.loads(line))
        finally:
            if process.poll() is None:
                process.kill()


def status(local: Local, *words: str) -> list[dict[str, Any]]:
    said = local.run("proxy", "status", "--json", *words)
    assert said.returncode == 0, said
    found: list[dict[str, Any]] = json.loads(said.stdout)
    return found


def test_it_is_ready_when_it_says_so(local: Local) -> None:
    with started(local, "appdb") as proxy:
        door = proxy.said["upstreams"][0]
        folder = Path(local.environment["XDG_RUNTIME_DIR"]) / "pgbearer" / "appdb"
        assert door == {
            "name": "appdb",
            "user": "app",
            "database": "appdb",
            "host": str(folder),
            "port": 5432,
            "passfile": None,
        }
        assert proxy.said["pid"] == proxy.process.pid
        assert (folder.stat().st_mode & 0o7777, (folder / ".s.PGSQL.5432").stat().st_mode & 0o7777) == (0o700, 0o600)
        with proxy.connect() as connection:
            assert connection.execute(WHO).fetchone() == (HOLDER, "app", "appdb")
        code, err = proxy.stop()
    assert code == 0
    assert SECRET not in err
    assert not any(folder.iterdir())


def test_people_are_told_what_to_type(local: Local) -> None:
    command = local.command("proxy", "appdb", "--tcp")
    with subprocess.Popen(
        command, env=local.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(2)]
        for line in lines:
            assert line.startswith("appdb is ready: ")
            typed = line.partition(": ")[2] + " -XAtc 'SELECT system_user'"
            said = subprocess.run(
                ["sh", "-c", typed], env=local.environment, capture_output=True, text=True, timeout=60
            )
            assert (said.stdout, said.stderr) == (f"{HOLDER}\n", "")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    secret = "".join(lines)
    assert "PGPASSFILE=" in secret


def test_over_tcp_with_the_secret_of_its_passfile_and_no_other(local: Local) -> None:
    with started(local, "appdb", "--tcp") as proxy:
        unix, tcp = proxy.said["upstreams"]
        passfile = Path(tcp["passfile"])
        secret = passfile.read_text().strip().rpartition(":")[2]
        assert (unix["passfile"], tcp["host"], passfile.stat().st_mode & 0o7777) == (None, "127.0.0.1", 0o600)
        with proxy.connect(1) as connection:
            assert connection.execute(WHO).fetchone() == (HOLDER, "app", "appdb")
        with pytest.raises(psycopg.OperationalError, match="password"):
            proxy.connect(1, passfile="/dev/null/none", password="wrong")
        code, err = proxy.stop()
    assert code == 0
    assert secret not in err + json.dumps(proxy.said)
    assert not passfile.exists()


def test_several_upstreams_each_in_its_folder_and_each_pinned(local: Local) -> None:
    conninfo = local.server.conninfo
    local.write(
        f'[upstreams.one]\nconninfo = "{local.conninfo}"\n'
        f'[upstreams.other]\nconninfo = "{conninfo} user=app"\npin = ["user"]\n'
    )
    with started(local) as proxy:
        assert [door["name"] for door in proxy.said["upstreams"]] == ["one", "other"]
        with pytest.raises(psycopg.OperationalError, match="alone, not for 'postgres'"):
            proxy.connect(0, dbname="postgres")
        with proxy.connect(1, dbname="postgres") as connection:
            assert connection.execute(WHO).fetchone() == (HOLDER, "app", "postgres")
        found = {one["name"]: (one["logins"], one["refused"]) for one in status(local)}
        assert found == {"one": (0, 1), "other": (1, 0)}
        _, err = proxy.stop()
    assert "one: a client was refused: this upstream is for the database" in err


def test_status_says_whom_it_logs_in_until_when_and_what_went_wrong(local: Local) -> None:
    assert local.run("proxy", "status").returncode == 1
    with started(local, "appdb") as proxy:
        with proxy.connect():
            (found,) = status(local)
            assert (found["name"], found["pid"], found["issuer"]) == ("appdb", proxy.process.pid, ISSUER)
            assert (found["connections"], found["logins"], found["draining"]) == (1, 1, False)
            assert [one["token_ref"] for one in found["identities"]] == [HOLDER.rpartition("-")[2]]
        with pytest.raises(psycopg.OperationalError):
            proxy.connect(dbname="postgres")
        shown = local.run("proxy", "status")
        assert shown.returncode == 0
        assert "this upstream is for the database" in shown.stdout
        assert SECRET not in shown.stdout + json.dumps(status(local))
        proxy.stop()
    assert local.run("proxy", "status", "--json").stdout == "[]\n"


def test_status_is_for_its_own_user_alone(local: Local, need: Callable[..., None], public_folder: Path) -> None:
    need(ROOT)
    with started(local, "appdb", "--folder", str(public_folder)) as proxy:
        path = Path(proxy.door()["host"]) / "status.sock"
        assert path.stat().st_mode & 0o7777 == 0o600
        path.parent.chmod(0o711)
        path.chmod(0o666)  # even if somebody opened it to others
        asked = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(len(s.recv(99)))"
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", "/usr/bin/env", "python3"]
        said = subprocess.run([*nobody, "-c", asked, path], capture_output=True, text=True, timeout=60)
        assert (said.stdout, said.stderr) == ("0\n", "")
        assert status(local, "--folder", str(public_folder))


def test_it_waits_for_connections_to_finish(local: Local) -> None:
    with started(local, "appdb", "--drain", "60") as proxy, proxy.connect() as connection:
        proxy.process.send_signal(signal.SIGTERM)
        wait_until(lambda: status(local)[0]["draining"], 30, "it to drain")
        with pytest.raises(psycopg.OperationalError):
            proxy.connect()
        assert connection.execute(WHO).fetchone() == (HOLDER, "app", "appdb")
        connection.close()
        assert proxy.process.wait(60) == 0


@pytest.mark.parametrize("second", [True, False], ids=["a second signal", "the time that it gives"])
def test_it_does_not_wait_for_ever(local: Local, second: bool) -> None:
    with started(local, "appdb", "--drain", "600" if second else "0.1") as proxy, proxy.connect() as connection:
        proxy.process.send_signal(signal.SIGTERM)
        if second:
            wait_until(lambda: status(local)[0]["draining"], 30, "it to drain")
            proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(60) == 0
        with pytest.raises(psycopg.OperationalError, match="the proxy is shutting down"):
            connection.execute("SELECT 1")
    assert local.server.sessions() == 0


def test_idle_connections_end_after_the_time_that_is_given(local: Local) -> None:
    with started(local, "appdb", "--idle", "0.2") as proxy, proxy.connect() as connection:
        wait_until(lambda: status(local)[0]["connections"] == 0, 30, "the idle connection to end")
        with pytest.raises(psycopg.OperationalError, match="idle timeout"):
            connection.execute("SELECT 1")


def test_a_second_proxy_does_not_take_the_place_of_the_first(local: Local) -> None:
    with started(local, "appdb") as proxy:
        said = local.run("proxy", "appdb")
        assert said.returncode == 2
        assert "another service listens here" in said.stderr
        with proxy.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_what_a_killed_one_left_is_replaced(local: Local) -> None:
    with started(local, "appdb") as proxy:
        proxy.process.kill()
        proxy.process.wait()
    with started(local, "appdb") as proxy, proxy.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_readiness_is_told_to_the_service_manager(local: Local) -> None:
    address = local.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(60)
        with started(local, "appdb", env={**local.environment, "NOTIFY_SOCKET": str(address)}) as proxy:
            assert manager.recv(100) == b"READY=1"
            proxy.stop()
            assert manager.recv(100) == b"STOPPING=1"


def test_a_service_manager_that_is_gone_keeps_nobody_out(local: Local) -> None:
    gone = str(local.folder / "gone")
    with started(local, "appdb", env={**local.environment, "NOTIFY_SOCKET": gone}) as proxy:
        proxy.connect().close()
        code, err = proxy.stop()
    assert code == 0
    assert "nobody hears at NOTIFY_SOCKET: No such file or directory" in err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["apdb"], 2, 'did you mean "appdb"?'),
        (["appdb", "appdb"], 2, "two upstreams would be called 'appdb'"),
        (["appdb", "host=localhost", "--tcp-port", "5433"], 2, "one port cannot be several upstreams'"),
        (["appdb", "--peers"], 2, "there are no [peers]"),
        (["host=localhost sslmode=require"], 2, "sslmode=require does not verify"),
        (["host=127.0.0.1 port=1 sslrootcert=system"], 3, "No token was sent"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_it_does_not_begin(local: Local, words: list[str], code: int, message: str) -> None:
    said = local.run("proxy", *words)
    assert (said.returncode, said.stdout) == (code, "")
    assert message in said.stderr
    assert not (Path(local.environment["XDG_RUNTIME_DIR"]) / "pgbearer" / "appdb" / ".s.PGSQL.5432").exists()


def test_root_lends_no_persons_login(local: Local, need: Callable[..., None]) -> None:
    need(ROOT)
    local.client_file.write_text(f'default = "me"\n[profiles.me]\nissuer = "{ISSUER}"\n')
    said = local.run("proxy", local.conninfo)
    assert said.returncode == 2
    assert "root lends nobody's login" in said.stderr


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_folder_that_others_can_write_is_refused(local: Local, mode: int) -> None:
    base = local.folder / "wide"
    base.mkdir()
    base.chmod(mode)
    said = local.run("proxy", "appdb", "--folder", base)
    assert said.returncode == 2
    assert "others may write here" in said.stderr
