"""Other kinds of token that the same key signs, and access tokens that are not their holder's own.

The claims here are made; the same kinds as a real Keycloak makes them: tests/e2e/test_token_kinds.py.
"""

import hashlib

import pytest

from pgbearer.wire import Reason
from tests.attacks.cases import Case, claims, header, name_of, outcome
from tests.attacks.fix_door import Door
from tests.issuer import ABSENT, b64

HEADER_TYPES: dict[str, object] = {
    "of an ID token or none": ABSENT,
    "JWT": "JWT",
    "of a logout token": "logout+jwt",
    "of an introspection response": "token-introspection+jwt",
    "of a DPoP proof": "dpop+jwt",
    "of a security event": "secevent+jwt",
    "of a request object": "oauth-authz-req+jwt",
    "of a client's assertion": "client-authentication+jwt",
    "of a verifiable credential": "dc+sd-jwt",
    "of an entity statement": "entity-statement+jwt",
    "of UserInfo": "userinfo+jwt",
    "with a space after": "at+jwt ",
    "of another syntax": "at+cwt",
    "with a parameter": "at+jwt;v=1",
    "empty": "",
    "null": None,
    "a list": ["at+jwt"],
    "true": True,
}
"""RFC 8725 section 3.11: the explicit type keeps them apart."""

PAYLOAD_TYPES = (
    "ID",
    "Refresh",
    "Offline",
    "Logout",
    "RegistrationAccessToken",
    "InitialAccessToken",
    "Serialized-ID",
    "verify-email",
    "reset-credentials",
    "execute-actions",
    "JWT",
    "bearer",
    "BEARER",
    "Bearer ",
    " Bearer",
    "Bearer\0",
    "",
    "DPoP",
)
"""Keycloak's TokenUtil, ActionToken and their like; and what is nearly right."""

HEADERS = (
    *(header(f"typ {name}", Reason.TOKEN_TYPE, typ=value) for name, value in HEADER_TYPES.items()),
    header("typ dpop, let off for JWT", Reason.TOKEN_TYPE, typ="dpop+jwt", settings={"insecure_header_typ_jwt": True}),
)

MARKED = (
    *(claims(f"payload typ {typ!a}", Reason.TOKEN_KIND, typ=typ) for typ in PAYLOAD_TYPES),
    claims("nonce of an ID token", Reason.TOKEN_KIND, nonce="n"),
    claims("at_hash of an ID token", Reason.TOKEN_KIND, at_hash="h"),
    claims("c_hash of an ID token", Reason.TOKEN_KIND, c_hash="h"),
    claims("s_hash of an ID token", Reason.TOKEN_KIND, s_hash="h"),
    claims("a mark whose value is null", Reason.TOKEN_KIND, nonce=None),
    claims("a mark whose value is false", Reason.TOKEN_KIND, active=False),
    claims("logout token", Reason.TOKEN_KIND, events={"http://schemas.openid.net/event/backchannel-logout": {}}),
    claims("requesting party token", Reason.TOKEN_KIND, authorization={"permissions": []}),
    claims("introspection response", Reason.TOKEN_KIND, token_introspection={"active": True}),
    claims("introspection response of Keycloak", Reason.TOKEN_KIND, active=True),
    claims("offline session", Reason.TOKEN_KIND, jti="ofrtdg:1"),
    claims("offline transient session", Reason.TOKEN_KIND, jti="ftrtcc:1"),
    claims("exchanged", Reason.TOKEN_KIND, jti="onrtte:1"),
    claims("exchanged, lightweight", Reason.TOKEN_KIND, jti="onltte:1"),
    claims("scope offline_access", Reason.TOKEN_KIND, scope="db:demo offline_access"),
)

THUMBPRINT = b64(hashlib.sha256(b"a certificate").digest())

WHOSE = (
    claims("DPoP-bound", Reason.SENDER_CONSTRAINED, cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
    claims("certificate-bound", Reason.SENDER_CONSTRAINED, cnf={"x5t#S256": THUMBPRINT}),
    claims("bound to half a certificate", Reason.SENDER_CONSTRAINED, cnf={"x5t#S256": THUMBPRINT[:20]}),
    claims("bound to a certificate and a key", Reason.SENDER_CONSTRAINED, cnf={"x5t#S256": THUMBPRINT, "jkt": "x"}),
    claims("bound to a key inside", Reason.SENDER_CONSTRAINED, cnf={"jwk": {"kty": "EC"}}),
    claims("bound to a kid", Reason.SENDER_CONSTRAINED, cnf={"kid": "key-1"}),
    claims("bound to a key elsewhere", Reason.SENDER_CONSTRAINED, cnf={"jku": "https://evil.example", "kid": "1"}),
    claims("cnf of no known kind", Reason.SENDER_CONSTRAINED, cnf={"future": 1}),
    claims("cnf empty", Reason.SENDER_CONSTRAINED, cnf={}),
    claims("cnf a string", Reason.SENDER_CONSTRAINED, cnf="x"),
    claims("cnf false", Reason.SENDER_CONSTRAINED, cnf=False),
    claims("cnf null", Reason.SENDER_CONSTRAINED, cnf=None),
    claims("IMPERSONATOR_ID", Reason.IMPERSONATED, IMPERSONATOR_ID="admin"),
    claims("IMPERSONATOR_USERNAME, empty", Reason.IMPERSONATED, IMPERSONATOR_USERNAME=""),
    claims("impersonator", Reason.IMPERSONATED, impersonator={"id": "admin"}),
    claims("Impersonator_Id null", Reason.IMPERSONATED, Impersonator_Id=None),
    claims("act", Reason.ACTOR_NOT_ALLOWED, act={"sub": "agent"}),
    claims("act within act", Reason.ACTOR_NOT_ALLOWED, act={"sub": "agent", "act": {"sub": "alice"}}),
    claims("act of the subject itself", Reason.ACTOR_NOT_ALLOWED, act={"sub": "f1a6bb5e-6f40-4b4e-8b55-5f2b29a35b2e"}),
    claims("act, empty", Reason.ACTOR_NOT_ALLOWED, act={}),
    claims("act null", Reason.ACTOR_NOT_ALLOWED, act=None),
)

CASES = (*HEADERS, *MARKED, *WHOSE)


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_refused(case: Case) -> None:
    assert await outcome(case) is case.reason


@pytest.mark.parametrize("case", [case for case in CASES if case.at_login], ids=name_of)
def test_refused_at_login(door: Door, case: Case) -> None:
    assert door.refusal(case) == case.reason
