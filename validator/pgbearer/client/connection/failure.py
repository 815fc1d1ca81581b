"""What the client can say about a login that failed: PostgreSQL's own answer is the same for every reason."""

from typing import Final

import psycopg

from pgbearer.client.connection.hints import hints
from pgbearer.client.connection.hook import Offer
from pgbearer.client.connection.pinned import UnsafeServerError
from pgbearer.client.connection.plan import Plan
from pgbearer.client.plain import plain
from pgbearer.client.token import AccessToken
from pgbearer.errors import PgbearerError, UnreachableError

__all__ = ["ServerUnreachableError", "TokenRefusedError", "explained", "hints", "without_token"]


# ends what libpq says of a first try, which only asked for the issuer; the rest is about the one with the token
_SECOND_TRY: Final = "retrying connection with new bearer token "

_OAUTH: Final = "OAuth"
"""What a server's refusal of a token has in it in any language (auth_failed() in PostgreSQL's auth.c)."""


class TokenRefusedError(PgbearerError, psycopg.OperationalError):
    """The server got the token and did not let us in, or would not take a token at all.

    Also a `psycopg.OperationalError`, so that code and pools written for psycopg handle it as they do its own.
    """


class ServerUnreachableError(UnreachableError, psycopg.OperationalError):
    """There was no server to give a token to: name, network, TLS, time-out. Also a `psycopg.OperationalError`."""


# Nothing but the words tells these apart: handle_oauth_sasl_error() and check_expected_areq() of libpq set no code, and
# psycopg has none of an error before the login.
_BEFORE_THE_TOKEN: Final[tuple[tuple[str, type[PgbearerError], str], ...]] = (
    ("incompatible with oauth_issuer", UnsafeServerError, "The server asks for another issuer's token."),
    ("did not complete authentication", TokenRefusedError, "The server lets us in without any login: a trust line."),
    ("method requirement", TokenRefusedError, "The server asks for another kind of login: no oauth line."),
    ("no pg_hba.conf entry", TokenRefusedError, "The server has no line for this, with or without TLS."),
    ("pg_hba.conf rejects", TokenRefusedError, "The server has a reject line for this."),
)
_LINES: Final = "Of its pg_hba.conf the first line counts that matches the role, database and address."
_NOT_SENT: Final = "No token was sent."


def explained(
    error: psycopg.OperationalError, offer: Offer, token: AccessToken, plan: Plan, *, now: float
) -> PgbearerError:
    """The error that says as much as can be said on this side, without the token.

    Args:
        error: what psycopg raised.
        offer: the offer that its connection carried.
        token: what was offered.
        plan: what the connection was made by.
        now: seconds since the epoch.
    """
    if not offer.handed_over:
        return without_token(error)
    said = _said(error)
    if _OAUTH not in said:
        return TokenRefusedError(
            said, hint=f"The server got the token (token_ref {token.ref}), and has another reason."
        )
    about = hints(token, server_scope=offer.server_scope, now=now, role=plan.role, server_issuer=plan.issuer)
    return TokenRefusedError(said, hint="\n  ".join(about))


def without_token(error: psycopg.OperationalError) -> PgbearerError:
    """What `explained` says where the server got no token."""
    said = _said(error)
    for words, kind, hint in _BEFORE_THE_TOKEN:
        if words in said:
            more = _LINES if kind is TokenRefusedError else "Is this the right server?"
            return kind(said, hint=f"{hint} {more} {_NOT_SENT}")
    return ServerUnreachableError(said, hint=_NOT_SENT)


def _said(error: psycopg.OperationalError) -> str:
    return plain(" ".join(str(error).split()).rpartition(_SECOND_TRY)[2], limit=1_000)
