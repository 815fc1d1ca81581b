"""A service with credentials of its own."""

import time
from collections.abc import Callable
from pathlib import Path

from pgbearer.client.sources.authentication import Authentication
from pgbearer.client.sources.renewed import Renewed
from pgbearer.client.sources.token_endpoint import Form, TokenEndpoint
from pgbearer.client.token import AccessToken

__all__ = ["ClientCredentialsSource"]


class ClientCredentialsSource:
    """Gets a token for the client itself (RFC 6749 section 4.4), keeps it in memory and renews it ahead of its end.

    An issuer that does not answer is no fault as long as the token is good. Safe in threads and tasks: callers at the
    same time make one request.

    Args:
        issuer: https URL of the authorization server, exactly as it names itself.
        authentication: who the client is, and how it proves that.
        scope: space-separated; None for the client's default scopes.
        ca_file: PEM certificates to trust for the issuer instead of the system's.
        timeout: seconds for one exchange with the issuer.
        wall: seconds since the epoch.

    Raises:
        UsageError: `issuer` is not one.
    """

    def __init__(
        self,
        issuer: str,
        authentication: Authentication,
        scope: str | None = None,
        *,
        ca_file: Path | None = None,
        timeout: float = 10.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._endpoint = TokenEndpoint(issuer, authentication, ca_file=ca_file, timeout=timeout, wall=wall)
        form = Form({"grant_type": "client_credentials"} | ({"scope": scope} if scope else {}))
        self._renewed = Renewed(lambda: self._endpoint.ask(form), wall=wall)

    @property
    def issuer(self) -> str:
        """The issuer that it asks."""
        return self._endpoint.issuer

    def token(self) -> AccessToken:
        """As `TokenSource.token`; raises what `token_request` raises."""
        return self._renewed.token()

    async def token_async(self) -> AccessToken:
        """As `TokenSource.token_async`; raises what `token_request` raises."""
        return await self._renewed.token_async()
