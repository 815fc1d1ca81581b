"""A login renewed without its person: the next access token for a refresh token (RFC 6749 section 6), as steps."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pgbearer.client.grant import Grant
from pgbearer.client.login.answer import refusal_in
from pgbearer.client.login.metadata import discover
from pgbearer.client.login.refusal import ENDED, LoginEndedError, LoginRefusedError
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import Post, Steps, ask
from pgbearer.client.login.token_answer import grant_in
from pgbearer.client.peek import claims_in
from pgbearer.client.secret import Secret
from pgbearer.client.token import AccessToken
from pgbearer.errors import PgbearerError
from pgbearer.http import Reply

__all__ = ["refresh"]


def refresh(request: LoginRequest, grant: Grant, *, wall: Callable[[], float]) -> Steps[Grant]:
    """Renew `grant`, as steps: discover the issuer, give the refresh token, take what comes for it.

    An authorization server that rotates takes a refresh token once, so let one caller do this at a time, and keep what
    it returns before anything else. A login that is renewed with a token of somebody else is refused (OpenID Connect
    Core section 12.2).

    Args:
        request: the login's; its scope is asked for no more, because it is granted already.
        grant: what is to be renewed, by the client that got it.
        wall: seconds since the epoch; ends are reckoned from it.

    Returns:
        The next grant. What the server does not give anew (refresh token, ID token, scope) stays as it was.

    Raises:
        LoginEndedError: the session is over, or there was never anything to renew it with: the person has to log in.
        LoginRefusedError: another no, e.g. to a client that was switched off.
        MetadataError: an answer that is none, or that the server cannot answer now.
        FetchError: no answer. Like `MetadataError` it is an `UnreachableError`: the token at hand stays good.
    """
    if grant.refresh is None:
        raise LoginEndedError(where=request.issuer, description="there is no refresh token")
    metadata = yield from discover(request.issuer)
    asked = wall()
    reply = yield from ask(Post(metadata.token_endpoint, _form(grant.client_id, grant.refresh)))
    if reply.status != 200:
        raise _refusal(reply, metadata.token_endpoint)
    renewed = grant_in(reply, metadata.token_endpoint, asked, grant.client_id)
    if _subject_changed(grant, renewed):
        raise LoginEndedError("other_subject", where=metadata.token_endpoint)
    return _with_what_stays(grant, renewed)


def _form(client_id: str, token: Secret) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": token.reveal(), "client_id": client_id}


def _refusal(reply: Reply, endpoint: str) -> PgbearerError:
    refusal = refusal_in(reply, endpoint, ENDED)
    if isinstance(refusal, LoginRefusedError) and refusal.error == "invalid_grant":
        return LoginEndedError(where=endpoint, description=refusal.description)
    return refusal


def _subject_changed(before: Grant, after: Grant) -> bool:
    """Whether a token says that it is about somebody else than the one before; one that cannot be read says nothing."""
    pairs = ((before.access, after.access), (before.id_token, after.id_token))
    return any(_differ(_subject(old), _subject(new)) for old, new in pairs)


def _subject(token: AccessToken | Secret | None) -> Any:
    return None if token is None else claims_in(token).get("sub")


def _differ(old: Any, new: Any) -> bool:
    return old is not None and new is not None and old != new


def _with_what_stays(before: Grant, after: Grant) -> Grant:
    access = after.access
    if access.scope is None:  # it is left out where it is the same (RFC 6749 section 5.1)
        access = AccessToken(access.reveal(), expires_at=access.expires_at, scope=before.access.scope)
    if after.refresh is None:
        after = replace(after, refresh=before.refresh, refresh_expires_at=before.refresh_expires_at)
    return replace(after, access=access, id_token=after.id_token or before.id_token)
