"""A token in hand."""

from pgbearer.client.peek import issuer_in
from pgbearer.client.token import AccessToken

__all__ = ["StaticSource"]


class StaticSource:
    """Gives the one token it was made with. Safe in threads and tasks.

    Args:
        token: the token, or its text; raises TokenFormatError if that is none.
    """

    def __init__(self, token: AccessToken | str) -> None:
        try:
            self._token = AccessToken(token) if isinstance(token, str) else token
        finally:
            del token  # a traceback that shows locals would show it

    @property
    def issuer(self) -> str | None:
        """The token's ``iss``, where it is a JWT that says so: read, not verified, for it can only narrow."""
        return issuer_in(self._token)

    def token(self) -> AccessToken:
        """As `TokenSource.token`; never blocks."""
        return self._token

    async def token_async(self) -> AccessToken:
        """As `TokenSource.token_async`."""
        return self._token
