"""Where tokens are kept between logins. So far only in this process's memory.

`TokenStore` is the place where the store that outlives a process will stand: keyring, or a 0600 file in a 0700 folder,
with the refresh token rotated under one lock across processes. Until then each command logs in for itself.
"""

from typing import NamedTuple, Protocol

from pgbearer.client.token import AccessToken

__all__ = ["MemoryStore", "TokenKey", "TokenStore"]


class TokenKey(NamedTuple):
    """What a token was asked with; a token asked with anything else is another token."""

    issuer: str
    client_id: str
    scope: str | None


class TokenStore(Protocol):
    """Keeps tokens. Implementations are safe in threads; they never raise for a key that they do not know."""

    def load(self, key: TokenKey) -> AccessToken | None:
        """The token kept under `key`, expired or not, or None."""

    def save(self, key: TokenKey, token: AccessToken) -> None:
        """Keep `token` under `key`, instead of what was there."""

    def remove(self, key: TokenKey) -> None:
        """Forget what is kept under `key`, if anything."""


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
