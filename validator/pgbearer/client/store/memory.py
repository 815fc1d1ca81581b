"""Logins kept in this process's memory."""

import threading

from pgbearer.client.grant import Grant
from pgbearer.client.store.store import StoreLock, TokenKey

__all__ = ["MemoryStore"]


class MemoryStore:
    """A `TokenStore` that ends with the process. Safe in threads and tasks: each call is one dict operation."""

    where = "the memory of this process"

    def __init__(self) -> None:
        self._grants: dict[TokenKey, Grant] = {}
        self._locks: dict[TokenKey, threading.Lock] = {}

    def load(self, key: TokenKey) -> Grant | None:
        """As `TokenStore.load`."""
        return self._grants.get(key)

    def save(self, key: TokenKey, grant: Grant) -> None:
        """As `TokenStore.save`."""
        self._grants[key] = grant

    def remove(self, key: TokenKey) -> None:
        """As `TokenStore.remove`."""
        self._grants.pop(key, None)

    def try_lock(self, key: TokenKey) -> StoreLock | None:
        """As `TokenStore.try_lock`."""
        lock = self._locks.setdefault(key, threading.Lock())
        return _Held(lock) if lock.acquire(blocking=False) else None

    def keys(self) -> tuple[TokenKey, ...]:
        """As `TokenStore.keys`."""
        return tuple(self._grants)


class _Held:
    """A lock until its release."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock: threading.Lock | None = lock

    def release(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()
