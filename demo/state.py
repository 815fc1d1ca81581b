"""What a running demo leaves behind for the next command: where it is, and which processes it is made of."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.parts.cache import home
from tests.parts.processes import Running
from tests.parts.progress import say

__all__ = ["Stack", "alone", "folder", "forget", "remember", "remembered"]


@dataclass(frozen=True, slots=True)
class Stack:
    """A demo that was started. Its processes are in the order of starting."""

    issuer: str
    ca_file: str
    host: str
    """A name for TLS, or the folder of a Unix socket where PostgreSQL has no TLS."""
    port: int
    admin_socket: str
    logs: dict[str, str]
    """What a person calls each part, and its log file."""
    processes: dict[str, Running]

    def alive(self) -> bool:
        """Whether all of it still runs."""
        return all(process.alive() for process in self.processes.values())

    def conninfo(self, role: str) -> str:
        """The connection string for `role`: verified TLS, or the Unix socket."""
        where = f"host={self.host} port={self.port} dbname=appdb user={role}"
        return where if self.host.startswith("/") else f"{where} sslmode=verify-full sslrootcert={self.ca_file}"


def folder() -> Path:
    """The folder of all that a running demo has: PGBEARER_DEMO, else in the cache, where PostgreSQL's uid can enter."""
    chosen = os.environ.get("PGBEARER_DEMO")
    return Path(chosen).absolute() if chosen else home() / "demo"


@contextmanager
def alone() -> Iterator[None]:
    """One command of the demo at a time; the second waits for the first."""
    with folder().with_suffix(".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another command of the demo is at work; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def remembered() -> Stack | None:
    """The demo that an earlier command started; None if there is none. Its processes may have ended since."""
    try:
        kept = json.loads(_file().read_text())
    except FileNotFoundError:
        return None
    processes = {name: Running(**process) for name, process in kept.pop("processes").items()}
    return Stack(**kept, processes=processes)


def remember(stack: Stack) -> None:
    """Write `stack` down; whole or not at all."""
    unfinished = _file().with_suffix(".new")
    unfinished.write_text(json.dumps(asdict(stack), indent=2) + "\n")
    unfinished.replace(_file())


def forget() -> None:
    """Remove the folder with all that is in it."""
    if folder().exists():
        shutil.rmtree(folder())


def _file() -> Path:
    return folder() / "demo.json"
