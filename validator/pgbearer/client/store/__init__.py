"""Where logins are kept: in memory, in the system's keyring, or in files that only we can read."""

from pgbearer.client.store.choose import StoreKind, every_store, open_store
from pgbearer.client.store.files import FileStore
from pgbearer.client.store.memory import MemoryStore
from pgbearer.client.store.store import StoreError, StoreLock, TokenKey, TokenStore
from pgbearer.client.store.system_keyring import KeyringStore

__all__ = [
    "FileStore",
    "KeyringStore",
    "MemoryStore",
    "StoreError",
    "StoreKind",
    "StoreLock",
    "TokenKey",
    "TokenStore",
    "every_store",
    "open_store",
]
