"""Where what is fetched or built once is kept for later runs: outside the tree, one folder for each version.

A folder appears under its name only when it is complete, so whoever finds it can use it; two runs that want the same
one build it once. What a newer one replaces goes when nobody has asked for it in two weeks. PostgreSQL refuses to run
as root, so root's cache stands where another uid can enter it.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.parts.progress import say, step

__all__ = ["CacheError", "alone", "cached", "enterable", "home"]


_KEPT = 14 * 24 * 3600.0
"""Seconds after which nobody comes back to the branch that wanted it."""


class CacheError(Exception):
    """The cache cannot be used where it is."""


def home() -> Path:
    """The folder of all that is kept: PGBEARER_CACHE, else /var/cache/pgbearer for root, else below ~/.cache.

    Raises:
        CacheError: root runs this, and the uid of PostgreSQL could not enter the folder.
    """
    folder = _place()
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if os.geteuid() == 0 and not enterable(folder):
        raise CacheError(f"{folder}: the uid of PostgreSQL cannot enter it; set PGBEARER_CACHE to a folder open to all")
    return folder


def cached(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder `name`, made by `make` unless a former run did so for the same `key`.

    Args:
        name: what a person reads in the cache and on the screen, e.g. ``keycloak-26.7.4``.
        key: everything the content depends on beyond the name: checksums, package lists.
        make: fills the empty folder it is given; if it raises, nothing is kept.

    Safe between processes: one builds, the others wait for it.
    """
    folder = home() / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if folder.is_dir():
        _use(folder)
        return folder
    with _alone(folder.with_name(folder.name + ".lock")):
        if folder.is_dir():
            return folder
        unfinished = folder.with_name(folder.name + ".new")
        if unfinished.exists():  # its builder was killed: it held this lock
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o755)
        try:
            with step(f"{name}, once, into {folder}"):
                make(unfinished)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        unfinished.rename(folder)
        _use(folder)  # what was unpacked into it may have brought a time of its own
    _forget(name, time.time() - _KEPT)
    return folder


@contextmanager
def alone(what: str) -> Iterator[None]:
    """Have `what`, a file name, to oneself: another run with this cache waits, and says so."""
    with (home() / f"{what}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run has {what}; this one goes on when it ends")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def enterable(folder: Path) -> bool:
    """Whether any uid can enter `folder`: each folder on the way has x for others."""
    way = [folder.resolve(), *folder.resolve().parents]
    return all(each.stat().st_mode & stat.S_IXOTH for each in way)


def _use(folder: Path) -> None:
    """Write down when."""
    with contextlib.suppress(PermissionError):  # of somebody else, who may well share it
        os.utime(folder)


def _forget(name: str, before: float) -> None:
    """Delete what was made under `name` from other keys and was last asked for `before`, in seconds since 1970."""
    ours = re.compile(re.escape(name) + r"-[0-9a-f]{12}")
    for folder in home().iterdir():
        if ours.fullmatch(folder.name) and folder.stat().st_mtime < before:
            with _alone(folder.with_name(folder.name + ".lock")):
                shutil.rmtree(folder)


def _place() -> Path:
    if chosen := os.environ.get("PGBEARER_CACHE"):
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        return Path("/var/cache/pgbearer")
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pgbearer"


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
