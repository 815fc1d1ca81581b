"""A workload with its JWT-SVID from the SPIFFE Workload API."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pgbearer.client.plain import plain
from pgbearer.client.sources.failure import NoTokenError
from pgbearer.client.sources.printed import with_end
from pgbearer.client.sources.renewed import Renewed
from pgbearer.client.token import AccessToken, TokenFormatError
from pgbearer.errors import UsageError
from pgbearer.http import JwtSvid, WorkloadApi

__all__ = ["SpiffeSource", "endpoint_socket"]

_VARIABLE: Final = "SPIFFE_ENDPOINT_SOCKET"


class SpiffeSource:
    """Fetches a JWT-SVID for one audience. Kept in memory and renewed ahead of its end; safe in threads and tasks.

    Args:
        audience: the database's, as its service's settings name it.
        spiffe_id: which identity, where this process has several.
        socket: the API's Unix socket; what ``SPIFFE_ENDPOINT_SOCKET`` says if None.
        issuer: the ``iss`` of the SVIDs, or None: many trust domains put none into them, and `connect` is then told
            by ``behind`` or ``oauth_issuer`` whose servers may have the token.
        timeout: seconds for one call.
        wall: seconds since the epoch.

    Raises:
        MissingExtraError: without the extra ``spiffe``.
        UsageError: there is no socket to ask.
    """

    def __init__(
        self,
        audience: str,
        *,
        spiffe_id: str | None = None,
        socket: Path | None = None,
        issuer: str | None = None,
        timeout: float = 5.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._audience = audience
        self._spiffe_id = spiffe_id
        self._socket = socket or endpoint_socket(os.environ)
        self._issuer = issuer
        self._api = WorkloadApi(self._socket, timeout)
        self._wall = wall
        self._renewed = Renewed(self._fetch, wall=wall)

    @property
    def issuer(self) -> str | None:
        """The issuer it was made with."""
        return self._issuer

    def token(self) -> AccessToken:
        """As `TokenSource.token`.

        Raises:
            UnreachableError: the API does not answer, or gives this process no such identity.
            NoTokenError: what it answered is not a token that is good now.
        """
        return self._renewed.token()

    async def token_async(self) -> AccessToken:
        """As `TokenSource.token_async`."""
        return await self._renewed.token_async()

    async def _fetch(self) -> AccessToken:
        svid = self._chosen(await self._api.jwt_svids(self._audience, self._spiffe_id))
        try:
            token = with_end(svid.token)
        except TokenFormatError as error:
            raise NoTokenError(f"the Workload API: {error.what}", where=str(self._socket)) from None
        if token.expired(self._wall()):
            raise NoTokenError(
                "the Workload API gave an SVID that has ended",
                where=str(self._socket),
                hint="Is this machine's clock right, and does the agent reach its server?",
            )
        return token

    def _chosen(self, svids: tuple[JwtSvid, ...]) -> JwtSvid:
        """The one of the identity that is wanted; without a wish the first, the default by the specification."""
        if self._spiffe_id is None:
            return svids[0]
        for svid in svids:
            if svid.spiffe_id == self._spiffe_id:
                return svid
        raise NoTokenError(
            f"the Workload API gave no SVID of {plain(self._spiffe_id)}",
            where=str(self._socket),
            hint="Is there an entry for this process with that SPIFFE ID?",
        )


def endpoint_socket(environ: Mapping[str, str]) -> Path:
    """The Unix socket that ``SPIFFE_ENDPOINT_SOCKET`` names (SPIFFE_Workload_Endpoint.md section 4).

    Raises:
        UsageError: it names none.
    """
    said = environ.get(_VARIABLE, "")
    parts = urlsplit(said)
    if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/") and not parts.query:
        return Path(parts.path)
    raise UsageError(
        f"{_VARIABLE} is {plain(said)!r}" if said else f"{_VARIABLE} is not set",
        hint=f"Name the Workload API's socket, e.g. {_VARIABLE}=unix:///run/spire/agent.sock (a Unix socket only).",
    )
