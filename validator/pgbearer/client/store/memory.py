"""Tokens kept in this process's memory."""

from pgbearer.client.store.store import TokenKey
from pgbearer.client.token import AccessToken

__all__ = ["MemoryStore"]


class MemoryStore:
    """A `TokenStore` that ends with the process. Safe in threads and tasks: each call is one dict operation."""

    def __init__(self) -> None:
        self._tokens: dict[TokenKey, AccessToken] = {}

    def load(self, key: TokenKey) -> AccessToken | None:
        """As `TokenStore.load`."""
        return self._tokens.get(key)

    def save(self, key: TokenKey, token: AccessToken) -> None:
        """As `TokenStore.save`."""
        self._tokens[key] = token

    def remove(self, key: TokenKey) -> None:
        """As `TokenStore.remove`."""
        self._tokens.pop(key, None)
