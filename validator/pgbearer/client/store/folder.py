"""The state folder: what each key is called there, one lock a key for all processes, and which keys there are."""

import fcntl
import hashlib
import os
import re
import weakref
from typing import Final
from urllib.parse import urlsplit

import msgspec

from pgbearer.client.store.private import PrivateFolder
from pgbearer.client.store.store import StoreError, StoreLock, TokenKey

__all__ = ["StateFolder"]

_LOCK: Final = ".lock"
_MOST_BYTES: Final = 16 * 1024


class StateFolder:
    """A `PrivateFolder` with a lock file for each key that was ever used. Safe in threads and processes.

    A lock file says which key it is for, so that all that is kept can be listed, wherever it is kept; it is never
    removed, because a file that is locked and removed is another file than the one of that name.
    """

    def __init__(self, files: PrivateFolder) -> None:
        self.files = files

    def stem(self, key: TokenKey) -> str:
        """What the files of `key` are called: the issuer's host, for people, and a digest of the whole key."""
        host = re.sub(r"[^a-z0-9.-]", "_", (urlsplit(key.issuer).hostname or "").lower())[:60]
        return f"{host}-{hashlib.sha256(msgspec.json.encode(key)).hexdigest()[:16]}"

    def try_lock(self, key: TokenKey) -> StoreLock | None:
        """As `TokenStore.try_lock`: flock(2), which ends with the process that has it, however it ends."""
        name = self.stem(key) + _LOCK
        lock = _Lock(self.files.open(name))
        try:
            if not lock.taken():
                return None
            lock.say(msgspec.json.encode(key))
        except BaseException as error:
            lock.abandon()
            if isinstance(error, OSError):  # a file system without locks, a full disk
                raise StoreError(f"cannot be locked: {error.strerror}", where=str(self.files.path / name)) from None
            raise
        return lock

    def keys(self) -> tuple[TokenKey, ...]:
        """As `TokenStore.keys`; a file that says nothing usable is passed over."""
        found = []
        for name in self.files.names(_LOCK):
            try:
                key = msgspec.json.decode(self.files.read(name, _MOST_BYTES) or b"", type=TokenKey)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
            if self.stem(key) + _LOCK == name:
                found.append(key)
        return tuple(found)


class _Lock:
    """A descriptor to be locked; unlocked before it is closed, because a forked child may have it too (flock(2)).

    A child closes its own at once, for else it would keep the lock of a parent that was killed; it unlocks nothing,
    because that would take the lock from a parent that is at work.
    """

    def __init__(self, file: int) -> None:
        self._file: int | None = file
        _open.add(self)

    def taken(self) -> bool:
        """Whether it could be locked; closed if not. Raises OSError."""
        assert self._file is not None  # noqa: S101  it is new
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.abandon()
            return False
        return True

    def say(self, name: bytes) -> None:
        """Have the file say `name`, if it does not yet. Raises OSError."""
        assert self._file is not None  # noqa: S101  it was taken
        if os.pread(self._file, len(name) + 1, 0) != name:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, name, 0)

    def release(self) -> None:
        """As `StoreLock.release`."""
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        self.abandon()

    def abandon(self) -> None:
        """Close the descriptor, and leave the lock to whoever else has one of the same."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


_open: weakref.WeakSet[_Lock] = weakref.WeakSet()


def _abandon_all() -> None:
    for lock in tuple(_open):
        lock.abandon()


os.register_at_fork(after_in_child=_abandon_all)
