"""What a store of tokens does, and under what a token is kept."""

from typing import NamedTuple, Protocol

from pgbearer.client.token import AccessToken

__all__ = ["TokenKey", "TokenStore"]


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
