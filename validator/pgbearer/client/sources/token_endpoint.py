"""An access token for a client that proves itself: one request to the issuer's token endpoint, whatever the grant."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pgbearer.client.login.metadata import check_issuer, discover
from pgbearer.client.login.refusal import COMMON, Refusal, Refusals
from pgbearer.client.login.steps import Post, Steps, ask, run_async
from pgbearer.client.login.token_answer import grant_in
from pgbearer.client.sources.authentication import Authentication
from pgbearer.client.sources.failure import NoTokenError
from pgbearer.client.sources.printed import with_end
from pgbearer.client.token import AccessToken
from pgbearer.http import Fetcher

__all__ = ["SERVICE", "Form", "TokenEndpoint", "token_request"]

SERVICE: Final[Refusals] = {
    **COMMON,
    "invalid_client": Refusal(
        "the authorization server does not know this client, or not by what it proves itself with",
        "Check client_id, and the secret, key, certificate or token against the client's credentials there.",
    ),
    "unauthorized_client": Refusal(
        "this client may not have such a token, or is not known by what it proves itself with",
        "Keycloak: check the client's credentials, and switch on the grant ('Service account roles') for it.",
    ),
    "invalid_grant": Refusal("what was given in exchange for a token is not good, or not any more", "Get a new one."),
    "invalid_scope": Refusal(
        "a requested scope does not exist or is not open to this client",
        "Check the profile's scope against the client's scopes at the authorization server.",
    ),
}
"""What a no means to a program, which nobody can ask to log in."""


class Form(dict[str, str]):
    """A grant's members. One may be a person's token, so its repr has the names only."""

    def __repr__(self) -> str:
        return f"<Form of {sorted(self)}>"


class TokenEndpoint:
    """Asks one issuer as one client. Safe in tasks of any event loop: each request has connections of its own.

    Args:
        issuer: https URL of the authorization server, exactly as it names itself.
        authentication: who asks, and how that is proven.
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
        *,
        ca_file: Path | None = None,
        timeout: float = 10.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.issuer = check_issuer(issuer)
        self._authentication = authentication
        self._ca_file = ca_file
        self._timeout = timeout
        self._wall = wall

    async def ask(self, form: Form, words: Refusals = SERVICE) -> AccessToken:
        """Send `form` with a proof of who asks; the token. Raises as `token_request`."""
        steps = token_request(self.issuer, self._authentication, form, words, wall=self._wall)
        fetcher = Fetcher(self._ca_file, self._timeout, certificate=self._authentication.certificate)
        try:
            return await run_async(steps, fetcher)
        finally:
            await fetcher.aclose()


def token_request(
    issuer: str,
    authentication: Authentication,
    form: Form,
    words: Refusals = SERVICE,
    *,
    wall: Callable[[], float],
) -> Steps[AccessToken]:
    """Discover the issuer, prove who asks, take the token, as steps.

    Args:
        issuer: the authorization server.
        authentication: who asks.
        form: the grant's own members.
        words: what a refusal means.
        wall: seconds since the epoch; the token's end is reckoned from it, and never later than its own ``exp``.

    Raises:
        LoginRefusedError: the server said no; `error` is the OAuth code.
        MetadataError: an answer that is none, or that the server cannot answer now.
        FetchError: no answer.
        UsageError: what the client proves itself with cannot be used.
        NoTokenError: the token that came has ended already, or the pod's token to prove itself with is none.
    """
    metadata = yield from discover(issuer)
    endpoint = metadata.token_endpoint
    if authentication.certificate is not None:
        endpoint = metadata.mtls_token_endpoint or endpoint
    asked = wall()
    proof = authentication.prove(issuer, asked)
    reply = yield from ask(Post(endpoint, {**form, **proof.fields}, proof.headers))
    given = grant_in(reply, endpoint, asked, authentication.client_id, words).access
    lifetime = None if given.expires_at is None else given.expires_at - asked
    token = with_end(given.reveal(), asked=asked, expires_in=lifetime, scope=given.scope)
    if token.expired(wall()):
        raise NoTokenError(
            "the authorization server gave a token that has ended",
            where=endpoint,
            hint="Compare this machine's clock with the authorization server's.",
        )
    return token
