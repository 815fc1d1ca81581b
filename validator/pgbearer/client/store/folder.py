"""The state folder: what each key is called there, one lock a key for all processes, and which keys there are."""

import fcntl
import hashlib
import os
import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from pgbearer.client.store.private import PrivateFolder
from pgbearer.client.store.store import StoreLock, TokenKey

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
        file = self.files.open(self.stem(key) + _LOCK)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        except BaseException:
            os.close(file)
            raise
        lock = _Lock(file)
        name = msgspec.json.encode(key)
        if os.pread(file, len(name) + 1, 0) != name:
            os.ftruncate(file, 0)
            os.pwrite(file, name, 0)
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
    """A locked descriptor; unlocked before it is closed, because a forked child may have it too (flock(2))."""

    def __init__(self, file: int) -> None:
        self._file: int | None = file

    def release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            fcntl.flock(file, fcntl.LOCK_UN)
            os.close(file)
