"""What the client can say about a login that failed: PostgreSQL's own answer is the same for every reason."""

from collections.abc import Iterator
from typing import Final

import psycopg

from pgbearer.client.connection.hook import Offer
from pgbearer.client.connection.pinned import UnsafeServerError
from pgbearer.client.peek import audience_in, claims_in
from pgbearer.client.plain import plain
from pgbearer.client.token import AccessToken
from pgbearer.errors import PgbearerError, UnreachableError

__all__ = ["ServerUnreachableError", "TokenRefusedError", "explained", "hints", "without_token"]


# ends what libpq says of a first try, which only asked for the issuer; the rest is about the one with the token
_SECOND_TRY: Final = "retrying connection with new bearer token "


class TokenRefusedError(PgbearerError, psycopg.OperationalError):
    """The server got the token and did not let us in, or would not take a token at all.

    Also a `psycopg.OperationalError`, so that code and pools written for psycopg handle it as they do its own.
    """


class ServerUnreachableError(UnreachableError, psycopg.OperationalError):
    """There was no server to give a token to: name, network, TLS, time-out. Also a `psycopg.OperationalError`."""


def explained(error: psycopg.OperationalError, offer: Offer, token: AccessToken, *, now: float) -> PgbearerError:
    """The error that says as much as can be said on this side, without the token.

    Args:
        error: what psycopg raised.
        offer: the offer that its connection carried.
        token: what was offered.
        now: seconds since the epoch.
    """
    if offer.handed_over:
        return TokenRefusedError(_said(error), hint="\n  ".join(hints(token, server_scope=offer.server_scope, now=now)))
    return without_token(error)


def without_token(error: psycopg.OperationalError) -> PgbearerError:
    """What `explained` says where the server got no token."""
    said = _said(error)
    # Nothing but libpq's words tells these two apart: handle_oauth_sasl_error() and check_expected_areq() set no code.
    if "incompatible with oauth_issuer" in said:
        return UnsafeServerError(said, hint="The token was not sent: the server asks for another issuer's.")
    if "method requirement" in said:
        return TokenRefusedError(said, hint="The server asks for another kind of login, and was sent nothing.")
    return ServerUnreachableError(said, hint="No token was sent.")


def _said(error: psycopg.OperationalError) -> str:
    return plain(" ".join(str(error).split()).rpartition(_SECOND_TRY)[2], limit=1_000)


def hints(token: AccessToken, *, server_scope: str | None, now: float) -> Iterator[str]:
    """Sentences about what may be wrong with a refused `token`, the likeliest first; the last names its `token_ref`.

    Args:
        token: what the server refused.
        server_scope: the scopes that the server asks for, space-separated; None if not known.
        now: seconds since the epoch.
    """
    claims = claims_in(token)
    expires_at = claims.get("exp", token.expires_at)
    if isinstance(expires_at, int | float) and now >= expires_at:
        yield f"The token expired {now - expires_at:.0f} s ago; log in again."
    granted = claims.get("scope", token.scope)
    missing = sorted(set((server_scope or "").split()) - set(granted.split())) if isinstance(granted, str) else []
    if missing:
        yield f"The server asks for the scope {plain(' '.join(missing))}, which this token lacks; log in with --scope."
    audience = audience_in(token)
    if audience:
        yield f"The token is for {plain(', '.join(audience))}; is that this server, and may you be this role there?"
    known_by = f"token_ref {token.ref} in its log; pgbearer explain --token-ref {token.ref}"
    yield f"Where the server runs they know why: {known_by}"
