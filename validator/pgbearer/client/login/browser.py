"""The authorization code grant with PKCE for a native app (RFC 6749 section 4.1, RFC 7636, RFC 8252), as steps.

There is no nonce: it would tell that an ID token belongs to this login, as PKCE tells of the code (RFC 9700 section
2.1.1), and the ID token is believed in nothing; it is only given back at logout.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode

from pgbearer.client.grant import Grant
from pgbearer.client.login.answer import MetadataError
from pgbearer.client.login.metadata import Metadata, discover
from pgbearer.client.login.refusal import BROWSER, LoginRefusedError
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import Browse, Post, Redirect, Steps, ask, browse
from pgbearer.client.login.token_answer import grant_in
from pgbearer.client.plain import plain
from pgbearer.client.secret import Secret
from pgbearer.errors import UsageError

__all__ = ["PATIENCE", "code_login"]

PATIENCE: Final = 300.0
"""Seconds that a person has at the issuer's pages."""

_RANDOM_BYTES: Final = 32  # become 43 characters, the fewest of a verifier (RFC 7636 section 4.1)


def code_login(
    request: LoginRequest,
    *,
    redirect_uri: str,
    wall: Callable[[], float],
    patience: float = PATIENCE,
    random: Callable[[int], str] = secrets.token_urlsafe,
) -> Steps[Grant]:
    """Log in with a browser, as steps: discover the issuer, send the person there, take the code, give it for a token.

    Args:
        request: what is asked for.
        redirect_uri: where the browser comes back to: an address of this machine that only we listen at.
        wall: seconds since the epoch; ends are reckoned from it.
        patience: seconds that the person has.
        random: text made of so many random bytes, for `state` and for the code's verifier.

    Returns:
        The grant. Its ends are counted from before the request that fetched it, so never too late.

    Raises:
        LoginRefusedError: denied, not finished in time, wrong client, wrong scope; `error` says which.
        MetadataError: an answer that is none, or that came from another issuer than was asked (RFC 9207).
        FetchError: no answer.
        UsageError: the issuer is not one, or offers no such login.
    """
    metadata = yield from discover(request.issuer)
    if metadata.authorization_endpoint is None:
        raise UsageError(
            "this issuer offers no login with a browser",
            where=request.issuer,
            hint="Its metadata has no authorization_endpoint; log in by device code (--device).",
        )
    state, verifier = random(_RANDOM_BYTES), Secret(random(_RANDOM_BYTES))
    question = {
        "response_type": "code",
        **request.fields(),
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": _challenge(verifier),
        "code_challenge_method": "S256",
    }
    step = Browse(_with_query(metadata.authorization_endpoint, question), state, patience)
    code = _code(metadata, state, (yield from browse(step)))
    asked = wall()
    reply = yield from ask(Post(metadata.token_endpoint, _form(request.client_id, redirect_uri, code, verifier)))
    return grant_in(reply, metadata.token_endpoint, asked, request.client_id, BROWSER)


def _challenge(verifier: Secret) -> str:
    """RFC 7636 section 4.2."""
    digest = hashlib.sha256(verifier.reveal().encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")


def _with_query(endpoint: str, question: Mapping[str, str]) -> str:
    """An endpoint may have a query of its own, which stays (RFC 6749 section 3.1)."""
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(question)}"


def _code(metadata: Metadata, state: str, redirect: Redirect | None) -> Secret:
    """The code that the browser brought back, if it is the answer to our question and a yes.

    Who answered is looked at before what: an error too may be somebody else's (RFC 9207 section 2.4).
    """
    where = metadata.issuer
    if redirect is None:
        raise LoginRefusedError("expired_token", where=where, words=BROWSER)
    if not hmac.compare_digest(redirect.get("state").encode(), state.encode()):
        raise MetadataError("the browser came back with the answer to another question", where=where)
    named = redirect.parameters.get("iss")
    if named != metadata.issuer and (named is not None or metadata.names_itself):
        raise MetadataError(f"the answer is of another issuer: {plain(repr(named))}", where=where)
    if "error" in redirect.parameters:
        description = redirect.get("error_description")
        raise LoginRefusedError(redirect.get("error"), where=where, description=description, words=BROWSER)
    if not redirect.get("code"):
        raise MetadataError("the browser came back without a code", where=where)
    return Secret(redirect.get("code"))


def _form(client_id: str, redirect_uri: str, code: Secret, verifier: Secret) -> Mapping[str, str]:
    """RFC 6749 section 4.1.3, RFC 7636 section 4.5."""
    return {
        "grant_type": "authorization_code",
        "code": code.reveal(),
        "redirect_uri": redirect_uri,
        "client_id": client_id,
        "code_verifier": verifier.reveal(),
    }
