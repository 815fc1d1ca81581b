"""What an authorization server's "no" means to the person who logs in, and what to do about it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pgbearer.client.plain import plain
from pgbearer.errors import PgbearerError

__all__ = ["BROWSER", "COMMON", "DEVICE", "ENDED", "LoginEndedError", "LoginRefusedError", "Refusal", "Refusals"]


class Refusal(NamedTuple):
    """What an OAuth error code means, and what the reader can do next."""

    what: str
    hint: str


Refusals = Mapping[str, Refusal]
"""By error code."""

COMMON: Final[Refusals] = {
    "access_denied": Refusal("the login was denied", "Log in again and choose to allow it."),
    "invalid_client": Refusal(
        "the authorization server does not know this client, or wants it to authenticate",
        "Check --client-id; it must be a public client (Keycloak: client authentication off).",
    ),
    "unauthorized_client": Refusal(
        "this client may not use this grant", "Switch the grant on for the client at the authorization server."
    ),
    "unsupported_grant_type": Refusal(
        "the authorization server does not offer this grant", "Switch the grant on at the authorization server."
    ),
    "invalid_grant": Refusal("what was given in exchange for a token is not good, or not any more", "Log in again."),
    "invalid_scope": Refusal(
        "a requested scope does not exist or is not open to this client",
        "Check --scope against the client's scopes at the authorization server.",
    ),
    "invalid_request": Refusal(
        "the authorization server did not understand the request", "Its own log says what it misses."
    ),
}
"""What is true of every grant."""

DEVICE: Final[Refusals] = {
    **COMMON,
    "access_denied": Refusal("the login was denied on the device page", "Log in again and choose to allow it."),
    "expired_token": Refusal(
        "the code expired before it was approved", "Log in again, and enter the new code in time."
    ),
    "unauthorized_client": Refusal(
        "this client may not use the device authorization grant",
        "Keycloak: switch on 'OAuth 2.0 Device Authorization Grant' for the client.",
    ),
    "unsupported_grant_type": Refusal(
        "the authorization server does not offer the device authorization grant",
        "Switch the grant on at the authorization server.",
    ),
    "invalid_grant": Refusal(
        "the device code is unknown, used already, or was given to another client", "Log in again for a new code."
    ),
}
"""Of the device authorization grant (RFC 8628 section 3.5)."""

BROWSER: Final[Refusals] = {
    **COMMON,
    "access_denied": Refusal("the login was denied in the browser", "Log in again and choose to allow it."),
    "expired_token": Refusal("nobody finished the login in the browser in time", "Log in again."),
    "unauthorized_client": Refusal(
        "this client may not log in with a browser",
        "Keycloak: switch on 'Standard flow' for the client; or log in with --device.",
    ),
    "invalid_grant": Refusal(
        "the authorization server does not take the code that it sent through the browser", "Log in again."
    ),
    "server_error": Refusal("the authorization server failed", "Log in again; its own log says more."),
    "temporarily_unavailable": Refusal("the authorization server cannot log anybody in now", "Log in again later."),
}
"""Of the authorization code grant (RFC 6749 sections 4.1.2.1 and 5.2)."""

ENDED: Final[Refusals] = {
    **COMMON,
    "invalid_grant": Refusal("the login has ended", "Log in again: pgbearer login."),
    "other_subject": Refusal("the login was renewed with a token of somebody else", "Log in again: pgbearer login."),
}
"""Of renewing a login (RFC 6749 section 6); ``other_subject`` is our own."""


class LoginRefusedError(PgbearerError):
    """The authorization server, or the person at its page, said no.

    Args:
        error: the OAuth error code (RFC 6749 section 5.2, RFC 8628 section 3.5), kept as `error`.
        where: who said it.
        description: the server's own words, kept as `description`; they are escaped where they are shown.
        words: what an error code means here.
    """

    def __init__(self, error: str, *, where: str, description: str | None = None, words: Refusals = COMMON) -> None:
        self.error = error
        self.description = description
        known = words.get(error, Refusal("the authorization server refused the login", "Its own log says more."))
        said = f": {plain(description)}" if description else ""
        super().__init__(f"{known.what} ({plain(error)}{said})", where=where, hint=known.hint)


class LoginEndedError(LoginRefusedError):
    """The login cannot be renewed any more: the person has to log in again. Arguments as `LoginRefusedError`."""

    def __init__(self, error: str = "invalid_grant", *, where: str, description: str | None = None) -> None:
        super().__init__(error, where=where, description=description, words=ENDED)
