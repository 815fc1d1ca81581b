"""PgBouncer as Debian ships it, in a root of tests/parts/debian.py: the pooler that has no OAuth."""

import configparser
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from tests.parts.debian import INSIDE, OLD_CLIENTS, DebianRoot
from tests.parts.processes import Running, launch, wait_until

__all__ = ["INSIDE", "USER", "PgBouncer", "start"]

USER = "nobody"
"""It refuses to run as root."""


@dataclass(frozen=True, slots=True)
class PgBouncer:
    """A running PgBouncer: its Unix socket is in `folder`, for `port`."""

    folder: Path
    port: int
    log: Path
    process: Running

    def stop(self) -> None:
        """Stop it and wait until it is gone."""
        self.process.stop()


def start(folder: Path, settings: str) -> PgBouncer:
    """Start it and return when it listens.

    Args:
        folder: its settings, socket and log go there, and it is all it sees of this machine's files, as `INSIDE`.
        settings: the text of pgbouncer.ini; its socket must be in ``INSIDE``.

    Raises:
        MissingError: not root, or no debootstrap.
        RuntimeError: it ended; its log is in the message.
        TimeUpError: it did not listen in a minute.
    """
    uid, gid = pwd.getpwnam(USER)[2:4]
    os.chown(folder, uid, gid)
    file = folder / "pgbouncer.ini"
    file.write_text(settings)
    log = folder / "pgbouncer.log"
    root = DebianRoot.of(OLD_CLIENTS).with_bind(folder, INSIDE)
    process = launch(root.command("/usr/sbin/pgbouncer", f"{INSIDE}/{file.name}", user=USER), log=log)
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(settings)
    port = parsed.getint("pgbouncer", "listen_port")
    pool = PgBouncer(folder, port, log, process)
    try:
        socket = folder / f".s.PGSQL.{port}"
        wait_until(lambda: socket.exists() or not process.alive(), 60, "PgBouncer to listen")
    except BaseException:  # also an interrupt: nobody else knows yet that it runs
        pool.stop()
        raise
    if not process.alive():
        raise RuntimeError(f"PgBouncer ended:\n{log.read_text(errors='replace')[-3000:]}")
    return pool
