"""The one protocol behind which every way to get a token stands."""

from typing import Protocol

from pgbearer.client.token import AccessToken

__all__ = ["TokenSource"]


class TokenSource(Protocol):
    """Gives a token that is good now. `connect` calls `token`, `connect_async` calls `token_async`, once each."""

    @property
    def issuer(self) -> str | None:
        """The issuer whose tokens it gives; None if it cannot tell."""

    def token(self) -> AccessToken:
        """Return a token; may block, for minutes if a person has to act. Raises PgbearerError."""

    async def token_async(self) -> AccessToken:
        """Return a token without blocking the event loop. Raises PgbearerError."""
