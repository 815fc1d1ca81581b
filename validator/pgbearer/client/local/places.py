"""The folders that a proxy listens in."""

import contextlib
import os
import stat
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import platformdirs

from pgbearer.client.proxy.listen import SHARED_FOLDER
from pgbearer.errors import UsageError

__all__ = ["check_way", "make_base", "private_folder", "runtime_folder"]

_OTHERS_MAY_WRITE: Final = 0o022


def runtime_folder() -> Path:
    """Where proxies of this user have their folders: ``$XDG_RUNTIME_DIR/pgbearer``, or what the platform has for it."""
    with warnings.catch_warnings():  # of a missing XDG_RUNTIME_DIR: `make_base` looks at what there is instead
        warnings.simplefilter("ignore")
        return platformdirs.user_runtime_path("pgbearer")


def make_base(folder: Path, *, shared: bool = False) -> None:
    """Make a folder for the folders of upstreams, if it is not there, and see that nobody else can put others there.

    Args:
        folder: absolute.
        shared: whether other local users may pass through.

    Raises:
        UsageError: it, or a folder above it, is somebody else's or open to be written by others; or it cannot be made.
    """
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=SHARED_FOLDER if shared else 0o700, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot be used: {error.strerror}", where=str(folder), hint=_HINT) from None
    check_way(folder, hint=_HINT)


def check_way(folder: Path, *, hint: str) -> None:
    """Nobody else can put another folder in this one's place: it and all on the way to it are ours or root's.

    Links are part of the way, and so is all on the way to where they lead: who can change one leads clients elsewhere.

    Args:
        folder: absolute, and there.
        hint: what to do if it is not so.

    Raises:
        UsageError: it, or a folder or link on the way, is somebody else's or in a folder that others may write.
    """
    try:
        for step in _way(folder):
            _check(step, hint)
    except OSError as error:
        raise UsageError(f"cannot be used: {error.strerror}", where=str(folder), hint=hint) from None


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder of 0700 for one run, gone after it; its path is short enough for a socket's.

    It is in ``XDG_RUNTIME_DIR`` if that is ours, else in the folder for temporary files.

    Raises:
        UsageError: somebody else could put another in its place.
    """
    where = _own_runtime_folder() or tempfile.gettempdir()
    check_way(Path(where), hint=_PRIVATE_HINT)
    with tempfile.TemporaryDirectory(prefix="pgbearer-", dir=where) as made:
        yield Path(made)


_HINT: Final = "Name another with --folder, below folders that are yours or root's."
_PRIVATE_HINT: Final = "Let XDG_RUNTIME_DIR or TMPDIR name another, below folders that are yours or root's."


def _own_runtime_folder() -> str | None:
    folder = os.environ.get("XDG_RUNTIME_DIR", "")
    try:
        found = Path(folder).stat() if folder.startswith("/") else None
    except OSError:
        return None
    return folder if found is not None and found.st_uid == os.geteuid() else None


def _way(folder: Path) -> Iterator[Path]:
    """Every folder and link that is passed on the way from the root; a link comes before what it leads to."""
    for step in reversed((folder, *folder.parents)):
        yield step
        if step.is_symlink():
            yield from _way(step.parent / step.readlink())


def _check(step: Path, hint: str) -> None:
    found = step.lstat()
    if found.st_uid not in (0, os.geteuid()):
        raise UsageError(f"belongs to uid {found.st_uid}, who could replace a socket", where=str(step), hint=hint)
    writable = found.st_mode & _OTHERS_MAY_WRITE and not found.st_mode & stat.S_ISVTX
    if writable and not stat.S_ISLNK(found.st_mode):  # a link has no mode of its own (symlink(7))
        mode = stat.filemode(found.st_mode)
        raise UsageError(f"others may write here ({mode}), and replace a socket", where=str(step), hint=hint)
