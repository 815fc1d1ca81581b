"""Checks that tell an access token for its holder from every other JWT the same key signs."""

import base64
import re
from typing import Final

from pgbearer.tokens.actors import EXCHANGED
from pgbearer.tokens.denied import Denied
from pgbearer.tokens.terms import Terms
from pgbearer.tokens.unverified import Unverified
from pgbearer.wire import Reason

__all__ = [
    "MARKS",
    "bears_no_other_kinds_mark",
    "bound_at_most_to_a_certificate",
    "certificate_of",
    "no_one_impersonates_the_subject",
    "payload_type_is_access_token",
    "session_is_online_and_own",
]

MARKS: Final = {
    "nonce": "an ID token (OpenID Connect Core 1.0 section 2)",
    "at_hash": "an ID token (OpenID Connect Core 1.0 section 3.1.3.6)",
    "c_hash": "an ID token (OpenID Connect Core 1.0 section 3.3.2.11)",
    "s_hash": "an ID token (FAPI 1.0 Advanced section 5.1)",
    "events": "a logout or security event token (RFC 8417 section 2.2)",
    "authorization": "a requesting party token (Keycloak authorization services)",
    "token_introspection": "an introspection response (RFC 9701 section 5)",
    "active": "an introspection response (RFC 7662 section 2.2)",
}
"""Claims that only other kinds of token carry; all of them are signed with the realm's one key."""

_OFFLINE: Final = frozenset({"of", "ft"})
"""Keycloak, AccessTokenContext.SessionType: offline, and offline of a transient client."""
_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
"""32 bytes as base64url without padding: the last character carries four bits, the two left over are zero."""


def payload_type_is_access_token(token: Unverified, terms: Terms, _now: float) -> None:
    """The payload's ``typ`` is exactly what the profile's access tokens have.

    Keycloak's is ``Bearer``; others are ``ID``, ``Refresh``, ``Offline``, ``Logout``, ``RegistrationAccessToken``. A
    profile that knows no such claim may still meet Keycloak's tokens, so there it may be absent but not another.

    Raises:
        Denied: token_kind.
    """
    required = "typ" in terms.profile.required
    if (required or "typ" in token.payload) and token.payload.get("typ") != "Bearer":
        raise Denied(Reason.TOKEN_KIND, f"payload typ is {token.payload.get('typ')!r}")


def bears_no_other_kinds_mark(token: Unverified, _terms: Terms, _now: float) -> None:
    """No claim that marks another kind of token is there, whatever its value.

    Raises:
        Denied: token_kind.
    """
    found = MARKS.keys() & token.payload.keys()
    if found:
        mark = min(found)
        raise Denied(Reason.TOKEN_KIND, f"claim {mark!r} marks {MARKS[mark]}")


def session_is_online_and_own(token: Unverified, terms: Terms, _now: float) -> None:
    """Keycloak: the token is of an online session, and made by a token exchange only if an agent acts.

    ``jti`` is ``<session><type><grant>:<id>``, two letters each (AccessTokenContext): undocumented, so it is used to
    deny and never to allow. The scope ``offline_access`` says the same of the session.

    Raises:
        Denied: token_kind.
    """
    if not terms.profile.session_in_jti:
        return
    kind, colon, _ = str(token.payload["jti"]).partition(":")
    if colon and kind[:2] in _OFFLINE:
        raise Denied(Reason.TOKEN_KIND, "of an offline session")
    if colon and kind[4:6] == EXCHANGED and terms.agents.actor_of(token, terms.profile.client) is None:
        raise Denied(Reason.TOKEN_KIND, "made by token exchange, and by no agent")
    if "offline_access" in str(token.payload.get("scope", "")).split():
        raise Denied(Reason.TOKEN_KIND, "of an offline session (scope offline_access)")


def bound_at_most_to_a_certificate(token: Unverified, terms: Terms, _now: float) -> None:
    """No ``cnf``, or one that binds to a TLS certificate, if the issuer's settings ask for it.

    A bound token is only good with a proof (RFC 7800, 8705, 9449). OAUTHBEARER carries none, but TLS does; whether it
    is the certificate of this connection is asked at each login (`pgbearer.tokens.verifiers`).

    Raises:
        Denied: sender_constrained.
    """
    if certificate_of(token) is not None and not terms.certificate_bound:
        raise Denied(Reason.SENDER_CONSTRAINED, "bound to a certificate, and issuers.*.certificate_bound is off")


def certificate_of(token: Unverified) -> str | None:
    """SHA-256 (hex) of the certificate that the token is bound to, None if it is bound to nothing.

    Exactly ``{"x5t#S256": ...}`` (RFC 8705 section 3.1), in the one base64url that 32 bytes have; another confirmation
    beside it would be one that nobody checks.

    Raises:
        Denied: sender_constrained, for any other ``cnf``.
    """
    if "cnf" not in token.payload:
        return None
    match token.payload["cnf"]:
        case {"x5t#S256": str(text), **others} if not others and _THUMBPRINT.fullmatch(text):
            return base64.urlsafe_b64decode(text + "=").hex()
        case _:
            raise Denied(Reason.SENDER_CONSTRAINED, "claim 'cnf' binds the token to a key in a way that is not checked")


def no_one_impersonates_the_subject(token: Unverified, _terms: Terms, _now: float) -> None:
    """No claim mapped from Keycloak's session notes ``IMPERSONATOR_ID`` and ``IMPERSONATOR_USERNAME``.

    Raises:
        Denied: impersonated.
    """
    for name in token.payload:
        if name[:12].lower() == "impersonator":
            raise Denied(Reason.IMPERSONATED, f"claim {name!r}")
