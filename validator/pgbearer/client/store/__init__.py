"""Where tokens are kept between logins."""

from pgbearer.client.store.memory import MemoryStore
from pgbearer.client.store.store import TokenKey, TokenStore

__all__ = ["MemoryStore", "TokenKey", "TokenStore"]
