"""The environment of a program that connects by way of a proxy: where that is, and nothing of where it leads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Door", "environment_for"]

_OF_THE_UPSTREAM: Final = frozenset(
    {
        *("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE", "PGREQUIREAUTH", "PGREQUIREPEER"),
        *("PGPASSWORD", "PGPASSFILE", "PGCHANNELBINDING", "PGREQUIRESSL", "PGKRBSRVNAME", "PGCONNECT_TIMEOUT"),
        *("PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS"),
    }
)
"""What libpq reads of how to reach a server and how to log in there (fe-connect.c, PQconninfoOptions)."""
_OF_THE_UPSTREAM_TOO: Final = ("PGSSL", "PGGSS", "PGOAUTH")
_OF_THE_SESSION: Final = {
    "user": "PGUSER",
    "dbname": "PGDATABASE",
    "options": "PGOPTIONS",
    "application_name": "PGAPPNAME",
    "client_encoding": "PGCLIENTENCODING",
}
"""What a client says itself in its startup packet, so that a service's file still has its say."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where a proxy is reached."""

    host: str
    """The folder of its Unix socket, or an address."""
    port: int
    """As the socket's name has it, or of the address."""
    passfile: Path | None = None
    """Holds the secret, where there is one."""


def environment_for(door: Door, options: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment to start a program with. Pure; no secret is in it, and none of ours was.

    Args:
        door: the proxy's.
        options: the upstream's connection options as libpq resolves them.
        inherited: our own environment.
    """
    kept = {name: value for name, value in inherited.items() if not _of_the_upstream(name)}
    said = {variable: options[keyword] for keyword, variable in _OF_THE_SESSION.items() if options.get(keyword)}
    where = {"PGHOST": door.host, "PGPORT": str(door.port)}
    if door.passfile is not None:
        where["PGPASSFILE"] = str(door.passfile)
    return kept | said | where


def _of_the_upstream(name: str) -> bool:
    return name in _OF_THE_UPSTREAM or name.startswith(_OF_THE_UPSTREAM_TOO)
