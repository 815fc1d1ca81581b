"""Unix sockets of our own: made by us, in a folder of ours, for one group, and taken away only by us.

uvicorn would bind them itself and then open them to everybody (chmod 0666), so that is not left to it.
"""

import fcntl
import grp
import os
import pwd
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pgbearer.errors import UsageError

__all__ = ["MAX_PATH_BYTES", "BoundSocket", "bind", "gid_of", "uid_of"]

MAX_PATH_BYTES: Final = 107
"""sun_path without its terminator (unix(7))."""

_OTHERS_MAY_WRITE: Final = 0o022


@dataclass(slots=True)
class BoundSocket:
    """A socket bound to a path, and listening there."""

    path: Path
    socket: socket.socket
    inode: tuple[int, int] | None
    """Device and number of the path's inode, which is ours for as long as the socket is open; None once removed."""

    def remove(self) -> None:
        """Unlink the path if it is still ours; a successor's socket is left alone. A second call does nothing.

        To be called before the socket is closed: after that, the successor's may have got the same inode number.
        """
        ours, self.inode = self.inode, None
        try:
            found = self.path.lstat()
            if (found.st_dev, found.st_ino) == ours:
                self.path.unlink()
        except OSError:
            pass  # gone already, or no longer ours to remove: either way nothing of ours is left


def bind(path: Path, *, mode: int, folder_mode: int, gid: int | None = None) -> BoundSocket:
    """Bind a Unix stream socket; what is left of a service that is gone is replaced, one that still listens is not.

    Args:
        path: at most 107 bytes. Its folder is made if need be, and is given `folder_mode`.
        mode: of the socket, e.g. 0o660.
        folder_mode: of the folder, e.g. 0o750.
        gid: the group of both; None leaves our own.

    Raises:
        UsageError: somebody listens there, the folder is not ours alone, or permissions do not suffice.
    """
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise UsageError(f"the path of a Unix socket has at most {MAX_PATH_BYTES} bytes", where=str(path))
    try:
        _own_folder(path.parent, folder_mode, gid)
        with _locked(path.parent):
            _clear(path)
            bound = _bind(path)
            if gid is not None:
                os.chown(path, -1, gid)
            path.chmod(mode)
    except OSError as error:
        raise UsageError(
            f"cannot make the socket: {error.strerror}",
            where=str(path),
            hint="The service must own its folder, and be a member of the group that is to reach it (or be root).",
        ) from None
    return bound


def uid_of(user: int | str) -> int:
    """The uid of a user given by uid or name.

    Raises:
        UsageError: there is no such user.
    """
    if isinstance(user, int):
        return user
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise UsageError(f"no user {user!r}", hint="Name a user of this machine, or give the uid.") from None


def gid_of(group: int | str | None, uid: int) -> int:
    """The gid of a group given by gid or name, or the primary group of `uid`.

    Raises:
        UsageError: there is no such group, or no such user to take it from.
    """
    if isinstance(group, int):
        return group
    try:
        return pwd.getpwuid(uid).pw_gid if group is None else grp.getgrnam(group).gr_gid
    except KeyError:
        missing = f"no group {group!r}" if group is not None else f"uid {uid} has no primary group here"
        raise UsageError(missing, hint="Say group: with the name or number of one.") from None


def _own_folder(folder: Path, mode: int, gid: int | None) -> None:
    """A folder in which nobody else can put another socket in place of ours."""
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise UsageError(
            "is no folder of this service's own", where=str(folder), hint="Give the socket a folder of its own."
        )
    if found.st_mode & _OTHERS_MAY_WRITE:
        raise UsageError(
            f"others may write here ({stat.filemode(found.st_mode)})",
            where=str(folder),
            hint="Give the socket a folder of its own.",
        )
    if gid is not None:
        os.chown(folder, -1, gid)
    folder.chmod(mode)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One service at a time looks whether a socket is stale and replaces it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _clear(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise UsageError("is in the way and no socket", where=str(path))
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # noqa: FBT003 - a full backlog (EAGAIN) means that somebody listens
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    raise UsageError("another service listens here", where=str(path), hint="Stop it first.")


def _bind(path: Path) -> BoundSocket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound.setblocking(False)  # noqa: FBT003 - the standard library's signature
    before = os.umask(0o177)
    try:
        bound.bind(str(path))
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(before)
    found = path.lstat()
    # Listening starts here, under the lock, so that a second service finds somebody and does not take it for stale.
    bound.listen(socket.SOMAXCONN)
    return BoundSocket(path, bound, (found.st_dev, found.st_ino))
