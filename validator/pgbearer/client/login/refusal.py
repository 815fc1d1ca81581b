"""What an authorization server's "no" means to the person who logs in, and what to do about it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pgbearer.client.plain import plain
from pgbearer.errors import PgbearerError

__all__ = ["LoginRefusedError"]


class _Refusal(NamedTuple):
    what: str
    hint: str


_REFUSALS: Final[Mapping[str, _Refusal]] = {
    "access_denied": _Refusal("the login was denied on the device page", "Log in again and choose to allow it."),
    "expired_token": _Refusal(
        "the code expired before it was approved", "Log in again, and enter the new code in time."
    ),
    "invalid_client": _Refusal(
        "the authorization server does not know this client, or wants it to authenticate",
        "Check --client-id; it must be a public client (Keycloak: client authentication off).",
    ),
    "unauthorized_client": _Refusal(
        "this client may not use the device authorization grant",
        "Keycloak: switch on 'OAuth 2.0 Device Authorization Grant' for the client.",
    ),
    "unsupported_grant_type": _Refusal(
        "the authorization server does not offer the device authorization grant",
        "Switch the grant on at the authorization server.",
    ),
    "invalid_grant": _Refusal(
        "the device code is unknown, used already, or was given to another client", "Log in again for a new code."
    ),
    "invalid_scope": _Refusal(
        "a requested scope does not exist or is not open to this client",
        "Check --scope against the client's scopes at the authorization server.",
    ),
    "invalid_request": _Refusal(
        "the authorization server did not understand the request", "Its own log says what it misses."
    ),
}


class LoginRefusedError(PgbearerError):
    """The authorization server, or the person at its page, said no.

    `error` is the OAuth error code (RFC 6749 section 5.2, RFC 8628 section 3.5), e.g. ``access_denied``.
    """

    def __init__(self, error: str, *, where: str, description: str | None = None) -> None:
        self.error = error
        known = _REFUSALS.get(error, _Refusal("the authorization server refused the login", "Its own log says more."))
        said = f": {plain(description)}" if description else ""
        super().__init__(f"{known.what} ({plain(error)}{said})", where=where, hint=known.hint)
