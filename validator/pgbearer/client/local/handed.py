"""Which sockets that a service manager made are for which upstream, and whether they are as closed as ours would be."""

import os
import socket
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pgbearer.client.local.places import check_way
from pgbearer.client.plain import plain
from pgbearer.errors import UsageError
from pgbearer.systemd import Handed

__all__ = ["check_handed", "sockets_by_upstream"]

_OTHERS: Final = 0o077
_OTHERS_MAY_WRITE: Final = 0o022


def sockets_by_upstream(names: Sequence[str], handed: Sequence[Handed]) -> Mapping[str, tuple[socket.socket, ...]]:
    """Each socket is for the upstream that it (``FileDescriptorName=``) or its folder is named after.

    Raises:
        UsageError: a socket is for none of them, or one of them has none.
    """
    found: dict[str, list[socket.socket]] = {name: [] for name in names}
    for each in handed:
        meant = [name for name in (each.name, _folder(each.socket)) if name in found]
        if not meant:
            raise UsageError(
                f"the socket {plain(each.name)!r} is for none of the upstreams {', '.join(names)}",
                hint="Name its folder after one, or say FileDescriptorName= in its unit.",
            )
        found[meant[0]].append(each.socket)
    without = [name for name, sockets in found.items() if not sockets]
    if without:
        raise UsageError(
            f"no socket was handed over for {', '.join(without)}",
            hint="Add a ListenStream= for it, or start the others.",
        )
    return {name: tuple(sockets) for name, sockets in found.items()}


def check_handed(handed: socket.socket, *, shared: bool) -> None:
    """A Unix socket's path is open to nobody but us, or if `shared` can at least be replaced by nobody but us.

    Those of the loopback are left to `Inherited`: they want a secret.

    Raises:
        UsageError: it is open to others.
    """
    if handed.family != socket.AF_UNIX:
        return
    path = Path(os.fsdecode(handed.getsockname()))
    if not path.is_absolute():
        raise UsageError("an abstract socket is open to everybody", where=plain(repr(str(path))), hint=_HINT)
    found, folder = path.lstat(), path.parent.lstat()
    if not shared and found.st_mode & _OTHERS:
        raise UsageError(f"open to others ({stat.filemode(found.st_mode)})", where=str(path), hint=_HINT)
    if folder.st_uid not in (0, os.geteuid()) or folder.st_mode & _OTHERS_MAY_WRITE:
        raise UsageError("others may replace the socket here", where=str(path.parent), hint=_HINT)
    check_way(path.parent, hint=_HINT)


def _folder(handed: socket.socket) -> str:
    """The name of the folder of a Unix socket; nothing of any other."""
    return Path(os.fsdecode(handed.getsockname())).parent.name if handed.family == socket.AF_UNIX else ""


_HINT: Final = "Say SocketMode=0600 and DirectoryMode=0700, below %t, in the socket's unit."
