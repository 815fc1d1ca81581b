"""What a store of logins does, and under what a login is kept."""

from typing import NamedTuple, Protocol

from pgbearer.client.grant import Grant
from pgbearer.errors import UsageError

__all__ = ["StoreError", "StoreLock", "TokenKey", "TokenStore"]


class StoreError(UsageError):
    """A store cannot be used as it is: not ours alone, locked, full, or not there."""


class TokenKey(NamedTuple):
    """What a login was asked with; a login asked with anything else is another login."""

    issuer: str
    client_id: str
    """The client that is asked for first; the login itself says which client got it (`Grant.client_id`)."""
    scope: str | None


class StoreLock(Protocol):
    """One key's lock, held."""

    def release(self) -> None:
        """Let others have it; a second call does nothing. May be called in another thread."""


class TokenStore(Protocol):
    """Keeps logins. Implementations are safe in threads; they never raise for a key that they do not know.

    A call may block for as long as a keyring takes to open (`KeyringStore`), so a task makes it in a thread.
    """

    @property
    def where(self) -> str:
        """Where logins are kept, in words for a person."""

    def load(self, key: TokenKey) -> Grant | None:
        """The login kept under `key`, expired or not, or None. Raises StoreError."""

    def save(self, key: TokenKey, grant: Grant) -> None:
        """Keep `grant` under `key`, instead of what was there. Raises StoreError; then that is still there."""

    def remove(self, key: TokenKey) -> None:
        """Forget what is kept under `key`, if anything. Raises StoreError."""

    def try_lock(self, key: TokenKey) -> StoreLock | None:
        """The lock of `key`, or None while anybody else who uses this store has it; never waits. Raises StoreError.

        Whoever renews or replaces a login holds it from before reading the login until after keeping the new one.
        """

    def keys(self) -> tuple[TokenKey, ...]:
        """The keys under which something may be kept. Raises StoreError."""
