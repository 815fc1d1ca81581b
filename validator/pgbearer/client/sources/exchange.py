"""A service that acts for a person: the person's token, exchanged for one for the database."""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from pgbearer.client.login.refusal import LoginRefusedError, Refusal, Refusals
from pgbearer.client.peek import claims_in
from pgbearer.client.sources.authentication import Authentication
from pgbearer.client.sources.renewed import Renewed
from pgbearer.client.sources.source import TokenSource
from pgbearer.client.sources.token_endpoint import SERVICE, Form, TokenEndpoint
from pgbearer.client.token import AccessToken

__all__ = ["ExchangeSource"]

_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  RFC 8693 section 3
_MOST: Final = 256
"""Persons whose tokens are kept at a time."""

_WORDS: Final[Refusals] = {
    **SERVICE,
    "access_denied": Refusal(
        "this client may not exchange that token",
        "The person's token must name this client in its audience (Keycloak: an audience mapper).",
    ),
    "invalid_request": Refusal(
        "the authorization server does not take the person's token, or not from this client",
        "Is it still good, for this client, and is the exchange switched on (Keycloak: 'Standard token exchange')?",
    ),
    "invalid_target": Refusal(
        "the authorization server gives no token for that audience", "Check the audience against what it knows."
    ),
    "other_subject": Refusal(
        "the authorization server gave a token of somebody else in exchange", "It is not used; see its own log."
    ),
}


class ExchangeSource:
    """Exchanges a person's token (RFC 8693) for one that the database takes, which still names the person.

    What comes of it is kept in memory for each token of a person by itself, and never given for another. Safe in
    threads and tasks.

    Args:
        issuer: https URL of the authorization server, exactly as it names itself.
        authentication: who the service is, and how it proves that.
        subject: gives the person's token, asked at each use.
        audience: for whom the new token shall be (Keycloak: a client); None for what the scopes bring.
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
        subject: TokenSource,
        *,
        audience: str | None = None,
        scope: str | None = None,
        ca_file: Path | None = None,
        timeout: float = 10.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._endpoint = TokenEndpoint(issuer, authentication, ca_file=ca_file, timeout=timeout, wall=wall)
        self._subject = subject
        asked = {"audience": audience, "scope": scope}
        self._asked = {name: value for name, value in asked.items() if value}
        self._wall = wall
        self._lock = threading.Lock()
        self._persons: OrderedDict[bytes, Renewed] = OrderedDict()

    @property
    def issuer(self) -> str:
        """The issuer that it asks."""
        return self._endpoint.issuer

    def token(self) -> AccessToken:
        """As `TokenSource.token`; raises what the subject's source and `token_request` raise."""
        return self._kept_for(self._subject.token()).token()

    async def token_async(self) -> AccessToken:
        """As `TokenSource.token_async`; raises what `token` raises."""
        return await self._kept_for(await self._subject.token_async()).token_async()

    async def _exchanged(self, person: AccessToken) -> AccessToken:
        return _of_the_same(person, await self._endpoint.ask(self._form(person), _WORDS), self.issuer)

    def _form(self, person: AccessToken) -> Form:
        return Form(
            grant_type=_GRANT,
            subject_token=person.reveal(),
            subject_token_type=_ACCESS_TOKEN,
            requested_token_type=_ACCESS_TOKEN,
            **self._asked,
        )

    def _kept_for(self, person: AccessToken) -> Renewed:
        """What is kept for this very token; whoever was not asked for the longest time is forgotten."""
        key = hashlib.sha256(person.reveal().encode("ascii")).digest()
        with self._lock:
            if key not in self._persons:
                self._persons[key] = Renewed(partial(self._exchanged, person), wall=self._wall)
            kept = self._persons[key]
            self._persons.move_to_end(key)
            while len(self._persons) > _MOST:
                self._persons.popitem(last=False)
            return kept


def _of_the_same(person: AccessToken, given: AccessToken, where: str) -> AccessToken:
    """`given`, unless both tokens are the issuer's and name different people; one that cannot be read says nothing."""
    before, after = claims_in(person), claims_in(given)
    same_issuer = before.get("iss") == after.get("iss")
    if same_issuer and None not in (before.get("sub"), after.get("sub")) and before["sub"] != after["sub"]:
        raise LoginRefusedError("other_subject", where=where, words=_WORDS)
    return given
