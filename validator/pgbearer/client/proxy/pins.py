"""Which role and database the clients of an upstream may have."""

from dataclasses import dataclass

from pgbearer.client.plain import plain
from pgbearer.client.proxy.refusal import INVALID_AUTHORIZATION, RefusedError
from pgbearer.client.proxy.startup import Startup

__all__ = ["Pins"]

_NO_REPLICATION = (b"0", b"off", b"false", b"no", b"n", b"f", b"of")
"""What parse_bool (utils/adt/bool.c) takes for no."""


@dataclass(frozen=True, slots=True)
class Pins:
    """What an upstream's connection string says is the only one; None is the client's to choose."""

    user: bytes | None = None
    database: bytes | None = None
    replication: bytes | None = None

    def hold(self, startup: Startup) -> Startup:
        """The startup packet to send for a client's, with what is pinned where it said nothing.

        A pinned database also keeps a client from replication connections, on which all databases can be read: one that
        names a database for logical replication takes BASE_BACKUP too (exec_replication_command, walsender.c).

        Raises:
            RefusedError: the client wants something else.
        """
        if self.user not in (None, startup.user):
            raise _refused("role", self.user, startup.user, "-U, user= or PGUSER")
        if self.database is not None and startup.value(b"database") is None:
            startup = startup.with_value(b"database", self.database)
        if self.database not in (None, startup.database):
            raise _refused("database", self.database, startup.database, "-d, dbname= or PGDATABASE")
        asked = startup.replication
        if self.replication not in (None, asked):
            raise _refused("kind of replication", self.replication, asked or b"none", "replication=")
        if self.replication is None and self.database is not None and _replicates(asked):
            raise RefusedError(
                INVALID_AUTHORIZATION,
                "this upstream is for one database, and a replication connection can read all of them",
                hint="Leave dbname out of the upstream's connection string, or add replication=true or =database.",
            )
        return startup


def _replicates(replication: bytes | None) -> bool:
    return replication is not None and replication.lower() not in _NO_REPLICATION


def _refused(what: str, pinned: bytes | None, asked: bytes, how: str) -> RefusedError:
    shown = plain((pinned or b"").decode(errors="replace"))
    return RefusedError(
        INVALID_AUTHORIZATION,
        f"this upstream is for the {what} {shown!r} alone, not for {plain(asked.decode(errors='replace'))!r}",
        hint=f"Connect with {shown} ({how}), or use an upstream that leaves it open.",
    )
