"""A login ended at the authorization server: its session, and what could renew it, as steps."""

from collections.abc import Mapping
from typing import Final

from pgbearer.client.grant import Grant
from pgbearer.client.login.answer import MetadataError, refusal_in
from pgbearer.client.login.metadata import discover
from pgbearer.client.login.refusal import LoginRefusedError
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import Post, Steps, ask
from pgbearer.errors import PgbearerError, UsageError
from pgbearer.http import FetchError, Reply

__all__ = ["logout"]

_OVER: Final = frozenset({"invalid_grant", "invalid_token"})
"""What a server says of a login that is over already; Keycloak says the first to a session's end."""


def logout(request: LoginRequest, grant: Grant) -> Steps[None]:
    """End the login that `grant` came from, as steps; one that is over already is ended.

    First the session, at the ``end_session_endpoint`` (OpenID Connect RP-Initiated Logout section 2), to which Keycloak
    takes the refresh token in place of a browser; then the token, at the ``revocation_endpoint`` (RFC 7009). The second
    alone would leave the session to other applications in the same browser, and the first needs a token that is good.
    Where one fails, the other is tried all the same.

    Raises:
        LoginRefusedError: the server will not.
        MetadataError: an answer that is none, or that the server cannot answer now.
        FetchError: no answer.
        UsageError: the issuer offers neither. In each of these cases the login may live on at the server.
    """
    metadata = yield from discover(request.issuer)
    if metadata.end_session_endpoint is None and metadata.revocation_endpoint is None:
        raise UsageError(
            "this issuer offers no way to end a login",
            where=request.issuer,
            hint="Its metadata names no end_session_endpoint and no revocation_endpoint: it ends by itself.",
        )
    not_ended = yield from _try(metadata.end_session_endpoint, _session(grant))
    not_revoked = yield from _try(metadata.revocation_endpoint, _token(grant))
    problem = not_ended or not_revoked
    if problem:
        raise problem


def _session(grant: Grant) -> Mapping[str, str]:
    form = {"client_id": grant.client_id}
    if grant.refresh is not None:
        form["refresh_token"] = grant.refresh.reveal()
    if grant.id_token is not None:
        form["id_token_hint"] = grant.id_token.reveal()
    return form


def _token(grant: Grant) -> Mapping[str, str]:
    """What is revoked: with a refresh token go the access tokens that it got (RFC 7009 section 2.1)."""
    if grant.refresh is None:
        return {"client_id": grant.client_id, "token": grant.access.reveal(), "token_type_hint": "access_token"}
    return {"client_id": grant.client_id, "token": grant.refresh.reveal(), "token_type_hint": "refresh_token"}


def _try(endpoint: str | None, form: Mapping[str, str]) -> Steps[PgbearerError | None]:
    """Send `form`; the error, if that did not end anything."""
    if endpoint is None:
        return None
    try:
        reply = yield from ask(Post(endpoint, form))
        return _problem(reply, endpoint)
    except (FetchError, MetadataError) as error:
        return error
    finally:
        del form  # a traceback that shows locals would show the token


def _problem(reply: Reply, endpoint: str) -> PgbearerError | None:
    if reply.status in {200, 204}:
        if reply.content_type != "text/html":
            return None
        return MetadataError("answered with a page for a person: a session in the browser may live on", where=endpoint)
    refusal = refusal_in(reply, endpoint)
    return None if isinstance(refusal, LoginRefusedError) and refusal.error in _OVER else refusal
