"""Whether a file, and the folder that could swap it, belong to someone we trust."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pgbearer.config.sealed import is_sealed

__all__ = ["HOW_TO_MEND", "read_trusted", "untrusted"]

HOW_TO_MEND: Final = "chown root and chmod go-w what is yours of these, or move the file to a folder of root's"
"""A hint for what `untrusted` finds: a folder such as /tmp is to be left, not to be changed."""

_MOST_STEPS: Final = 4096
"""More than any path has; the kernel itself gives up after 40 links (path_resolution(7))."""


def untrusted(path: Path) -> Iterator[str]:
    """Every reason not to trust the file at `path`: its owner or mode, or those of the folders on the way to it.

    Trusted is what root or this process's own user owns and neither group nor others can write. Links are followed:
    the file and folders that count are the real ones, and those of every link on the way as well. Further up than the
    folder itself, a sticky folder (/tmp) will do, and one that our own group can write: no stranger can replace what is
    in it. The top folder of a volume that a kubelet keeps will do with any mode (`is_sealed`).

    Raises:
        OSError: the file or folder cannot be looked at.
    """
    links = tuple(_links(path))
    real = path.resolve(strict=True)
    yield from _findings(real, real.stat())
    for folder in dict.fromkeys((real.parent, path.absolute().parent)):
        yield from _findings(folder, folder.stat())
    for link in links:
        yield from _owner_findings(link, link.lstat())
    on_the_way = (
        *real.parent.parents,
        *path.absolute().parent.parents,
        *(one for link in links for one in link.parents),
    )
    for folder in dict.fromkeys(on_the_way):
        yield from _findings_on_the_way(folder, folder.stat())


def read_trusted(path: Path, max_bytes: int) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of a regular file of at most `max_bytes`, and why not to trust them (empty if there is no reason).

    What is judged is the file that was opened, so it cannot be exchanged between the look and the reading.

    Raises:
        OSError: not there, not readable, not a regular file, or too large.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"not a regular file: {path}")
        data = file.read(max_bytes + 1) if status.st_size <= max_bytes else None
    if data is None or len(data) > max_bytes:  # it may have grown meanwhile
        raise OSError(f"larger than {max_bytes} bytes: {path}")
    return data, tuple(dict.fromkeys((*_findings(path.resolve(), status), *untrusted(path))))


def _without_waiting(path: str, flags: int) -> int:
    """A pipe that nobody writes to must not be waited for."""
    return os.open(path, flags | os.O_NONBLOCK)


def _links(path: Path) -> Iterator[Path]:
    """Every symbolic link that leads from `path` to the file, each by the real name of its folder."""
    here, ahead = Path("/"), list(path.absolute().parts[1:])
    for _ in range(_MOST_STEPS):
        if not ahead:
            return
        step = here / ahead.pop(0)
        if step.name == "..":
            here = here.parent
        elif step.is_symlink():
            yield step
            target = step.readlink()
            here, ahead = (Path("/") if target.is_absolute() else here), [*target.parts[target.is_absolute() :], *ahead]
        else:
            here = step
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _owner_findings(path: Path, status: os.stat_result) -> Iterator[str]:
    if status.st_uid not in {0, os.geteuid()}:
        yield f"{path} belongs to uid {status.st_uid}, neither root nor this user"


def _findings(path: Path, status: os.stat_result) -> Iterator[str]:
    yield from _owner_findings(path, status)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not _is_sealed(path, status):
        yield f"{path} is writable by group or others (mode {stat.S_IMODE(status.st_mode):04o})"


def _findings_on_the_way(folder: Path, status: os.stat_result) -> Iterator[str]:
    yield from _owner_findings(folder, status)
    others = status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid != os.getegid())
    if others and not status.st_mode & stat.S_ISVTX and not _is_sealed(folder, status):
        yield f"{folder} lets others replace what is in it (mode {stat.S_IMODE(status.st_mode):04o})"


def _is_sealed(path: Path, status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode) and is_sealed(path)
