"""Who may ask on this machine: the sockets of the servers here, and which uid is which of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pgbearer.config import Settings
from pgbearer.errors import UsageError
from pgbearer.sockets import gid_of, uid_of

__all__ = ["LoginSocket", "login_sockets"]


@dataclass(frozen=True, slots=True)
class LoginSocket:
    """A login listener: its path, which group may reach it, and who may ask there: server names by uid."""

    path: Path
    gid: int
    callers: Mapping[int, str]


def login_sockets(settings: Settings) -> dict[Path, LoginSocket]:
    """By path. Names of users and groups are looked up, in a directory that may hang: not for the event loop.

    Raises:
        UsageError: a user or group does not exist, or two servers cannot be told apart.
    """
    callers: dict[Path, dict[int, str]] = {}
    groups: dict[Path, int] = {}
    for name, server in settings.servers.items():
        if server.certificate is not None:
            continue
        uid = uid_of(server.uid)
        gid = gid_of(server.group, uid)
        if groups.setdefault(server.socket.parent, gid) != gid:
            raise UsageError(
                "its folder is that of a server of another group",
                where=f"servers.{name}.socket",
                hint="Give each group's socket a folder of its own.",
            )
        other = callers.setdefault(server.socket, {}).setdefault(uid, name)
        if other != name:
            raise UsageError(
                f"cannot be told from {other!r}: same socket, same uid {uid}",
                where=f"servers.{name}",
                hint="Run each server as a user of its own, or give it a socket of its own.",
            )
    return {path: LoginSocket(path, groups[path.parent], names) for path, names in callers.items()}
