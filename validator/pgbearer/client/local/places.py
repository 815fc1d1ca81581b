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

from pgbearer.errors import UsageError

__all__ = ["make_base", "private_folder", "runtime_folder"]

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
        folder.mkdir(mode=0o755 if shared else 0o700, exist_ok=True)
        for above in (folder, *folder.parents):
            _check(above)
    except OSError as error:
        raise UsageError(f"cannot be used: {error.strerror}", where=str(folder), hint=_HINT) from None


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder of 0700 for one run, gone after it; its path is short enough for a socket's.

    It is in ``XDG_RUNTIME_DIR`` if that is ours, else in the folder for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="pgbearer-", dir=_own_runtime_folder()) as made:
        yield Path(made)


_HINT: Final = "Name another with --folder, below folders that are yours or root's."


def _own_runtime_folder() -> str | None:
    folder = os.environ.get("XDG_RUNTIME_DIR", "")
    try:
        found = Path(folder).stat() if folder.startswith("/") else None
    except OSError:
        return None
    return folder if found is not None and found.st_uid == os.geteuid() else None


def _check(folder: Path) -> None:
    found = folder.stat()
    if found.st_uid not in (0, os.geteuid()):
        raise UsageError(f"belongs to uid {found.st_uid}, who could replace a socket", where=str(folder), hint=_HINT)
    if found.st_mode & _OTHERS_MAY_WRITE and not found.st_mode & stat.S_ISVTX:
        mode = stat.filemode(found.st_mode)
        raise UsageError(f"others may write here ({mode}), and replace a socket", where=str(folder), hint=_HINT)
