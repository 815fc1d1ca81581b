"""A source whose last token's holder and end are known, though not the token."""

from dataclasses import dataclass

from pgbearer.client.peek import expiry_in, user_in
from pgbearer.client.plain import plain
from pgbearer.client.sources import TokenSource
from pgbearer.client.token import AccessToken

__all__ = ["Identity", "SeenSource"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a token said of itself, unverified."""

    user: str | None
    """``preferred_username``, or ``sub``."""
    expires_at: float | None
    """Seconds since the epoch."""
    token_ref: str


class SeenSource:
    """Gives another source's tokens, and remembers who the last one was for. Safe in threads and tasks, as that is."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self.last: Identity | None = None
        """Of the last token; None before the first."""

    @property
    def issuer(self) -> str | None:
        """As the source's."""
        return self._source.issuer

    def token(self) -> AccessToken:
        """As `TokenSource.token`; raises what the source raises."""
        return self._seen(self._source.token())

    async def token_async(self) -> AccessToken:
        """As `TokenSource.token_async`; raises what the source raises."""
        return self._seen(await self._source.token_async())

    def _seen(self, token: AccessToken) -> AccessToken:
        user = user_in(token)
        self.last = Identity(user and plain(user), expiry_in(token) or token.expires_at, token.ref)
        return token
