"""Every way a token is refused, with its reason: the attack table. It has at least a row for every check."""

import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pgbearer.config.settings import Issuer, Keys
from pgbearer.tokens import Denied, parse, verifier
from pgbearer.tokens.checks import CLAIM_CHECKS, HEADER_CHECKS, Check, issuer_is_exact
from pgbearer.wire import Reason
from tests.issuer import ABSENT, AUDIENCE, Mint, SigningKey, b64
from tests.unit.fix_tokens import Desk, settings_for

NOW = 1_800_000_000
OTHER = "https://other.example/realms/demo"


@dataclass(frozen=True)
class Case:
    """One token, the settings and the request that it meets, and why it is refused."""

    name: str
    reason: Reason
    make: Callable[[Mint], str]
    settings: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    also: Callable[[Mint], tuple[Issuer, ...]] = lambda _mint: ()
    prepare: Callable[[Desk], Awaitable[None]] = Desk.fetch


def claims(name: str, reason: Reason, *, settings: dict[str, Any] | None = None, **changes: Any) -> Case:
    """A well signed token whose claims are changed."""
    return Case(name, reason, lambda mint: mint.token(**({"iat": NOW, "exp": NOW + 300} | changes)), settings or {})


def header(name: str, reason: Reason, *, settings: dict[str, Any] | None = None, **changes: Any) -> Case:
    """A well signed token whose header is changed."""
    return Case(name, reason, lambda mint: mint.token(header=changes, iat=NOW, exp=NOW + 300), settings or {})


def text(name: str, reason: Reason, change: Callable[[str], str]) -> Case:
    """A good token whose text is changed after it was signed."""
    return Case(name, reason, lambda mint: change(good(mint)))


def payload(name: str, reason: Reason, change: Callable[[str], str], **settings: Any) -> Case:
    """A well signed token whose payload's JSON text is changed."""

    def make(mint: Mint) -> str:
        written = json.dumps(mint.claims(iat=NOW, exp=NOW + 300), ensure_ascii=False)
        return mint.sign(json.dumps(mint.header()).encode(), change(written).encode("utf-8", "surrogateescape"))

    return Case(name, reason, make, settings)


def good(mint: Mint) -> str:
    return mint.token(iat=NOW, exp=NOW + 300)


def segments(token: str, *, h: Callable[[str], str] = str, p: Callable[[str], str] = str) -> str:
    head, body, signature = token.split(".")
    return ".".join((h(head), p(body), signature))


def signed_by_another(mint: Mint) -> str:
    return mint.token(key=SigningKey(mint.key.kid, serial=99), iat=NOW, exp=NOW + 300)


def spelled_otherwise(token: str) -> str:
    """The same signature bytes, with the unused bits of the last character set: RS256's 256 bytes leave four."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = token[:-1] + alphabet[alphabet.index(token[-1]) + 1]
    assert base64.urlsafe_b64decode(other.split(".")[2] + "==") == base64.urlsafe_b64decode(token.split(".")[2] + "==")
    return other


def hmac_with_the_public_key(mint: Mint) -> str:
    """The classic confusion: the RSA public key, which everybody has, as an HMAC secret (RFC 8725 section 2.1)."""
    public = mint.key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    message = f"{b64(json.dumps(mint.header(alg='HS256')).encode())}.{b64(json.dumps(mint.claims()).encode())}"
    return f"{message}.{b64(hmac.new(public, message.encode(), hashlib.sha256).digest())}"


def der_signature(mint: Mint) -> str:
    """ECDSA as DER, which X.509 uses, instead of raw r || s (RFC 7518 section 3.4)."""
    head, body, signature = good(mint).split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    half = len(raw) // 2
    der = encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))
    return f"{head}.{body}.{b64(der)}"


def with_prefix(mark: str) -> Callable[[str], str]:
    return lambda written: mark + written


def nested(depth: int) -> Callable[[str], str]:
    return lambda written: written[:-1] + ', "deep": ' + "[" * depth + "]" * depth + "}"


def member(more: str) -> Callable[[str], str]:
    return lambda written: f"{written[:-1]}, {more}}}"


async def without_keys(desk: Desk) -> None:
    desk.documents.broken = True
    await desk.fetch()


async def with_stale_keys(desk: Desk) -> None:
    await desk.fetch()
    desk.clock.seconds += Keys().max_stale + 1


async def with_a_weak_key(desk: Desk) -> None:
    desk.mint.keys = [SigningKey("weak", bits=1024)]
    await desk.fetch()


async def with_two_keys_of_one_kid(desk: Desk) -> None:
    desk.mint.keys = [SigningKey("key-1"), SigningKey("key-1", serial=2)]
    await desk.fetch()


SHAPE = (
    Case("empty", Reason.TOKEN_MISSING, lambda _mint: ""),
    text("too large", Reason.TOKEN_TOO_LARGE, lambda token: token + "A" * 32768),
    text("one segment", Reason.TOKEN_MALFORMED, lambda token: token.replace(".", "")),
    text("two segments", Reason.TOKEN_MALFORMED, lambda token: token.rpartition(".")[0]),
    text("four segments", Reason.TOKEN_MALFORMED, lambda token: token + ".AAAA"),
    text("five segments, as a JWE", Reason.TOKEN_MALFORMED, lambda token: token + ".AAAA.AAAA"),
    text("empty header", Reason.TOKEN_MALFORMED, lambda token: segments(token, h=lambda _: "")),
    text("empty payload", Reason.TOKEN_MALFORMED, lambda token: segments(token, p=lambda _: "")),
    text("padding", Reason.TOKEN_MALFORMED, lambda token: token + "=="),
    text("standard base64", Reason.TOKEN_MALFORMED, lambda token: segments(token, p=lambda body: body[:-4] + "+/+/")),
    text("space before", Reason.TOKEN_MALFORMED, lambda token: " " + token),
    text("newline after", Reason.TOKEN_MALFORMED, lambda token: token + "\n"),
    text("newline inside", Reason.TOKEN_MALFORMED, lambda token: token[:40] + "\n" + token[40:]),
    text("NUL inside", Reason.TOKEN_MALFORMED, lambda token: token[:40] + "\0" + token[40:]),
    text("Bearer before", Reason.TOKEN_MALFORMED, lambda token: "Bearer " + token),
    text("not ASCII", Reason.TOKEN_MALFORMED, lambda token: "é" + token),
    text("full-width digits", Reason.TOKEN_MALFORMED, lambda token: "１" + token),
    text("impossible length", Reason.TOKEN_MALFORMED, lambda token: segments(token, h=lambda _: "AAAAA")),
    text("another spelling of the same signature", Reason.TOKEN_MALFORMED, spelled_otherwise),
    payload("payload is a list", Reason.TOKEN_MALFORMED, lambda _: "[]"),
    payload("payload is a string", Reason.TOKEN_MALFORMED, lambda _: '"x"'),
    payload("payload is null", Reason.TOKEN_MALFORMED, lambda _: "null"),
    payload("payload is no JSON", Reason.TOKEN_MALFORMED, lambda _: "{'iss': 1}"),
    payload("trailing comma", Reason.TOKEN_MALFORMED, lambda written: written[:-1] + ",}"),
    payload("something after the object", Reason.TOKEN_MALFORMED, lambda written: written + "{}"),
    payload("byte order mark", Reason.TOKEN_MALFORMED, with_prefix("\ufeff")),
    payload("not UTF-8", Reason.TOKEN_MALFORMED, lambda written: written.replace("alice", "al\udcffce")),
    payload("a claim twice", Reason.TOKEN_MALFORMED, member('"sub": "root"')),
    payload("a nested member twice", Reason.TOKEN_MALFORMED, member('"x": {"a": 1, "a": 2}')),
    payload("the same claim by an escape", Reason.TOKEN_MALFORMED, member(r'"s\u0075b": "root"')),
    payload("NaN", Reason.TOKEN_MALFORMED, member('"x": NaN')),
    payload("Infinity", Reason.TOKEN_MALFORMED, member('"x": -Infinity')),
    payload("a number that is infinite", Reason.TOKEN_MALFORMED, member('"x": 1e999')),
    payload("an integer of thousands of digits", Reason.TOKEN_MALFORMED, member(f'"x": {"9" * 5000}')),
    payload("lone surrogate", Reason.TOKEN_MALFORMED, member(r'"x": "\ud800"')),
    payload("lone surrogate as a name", Reason.TOKEN_MALFORMED, member(r'"x": [{"\udfff": 1}]')),
    payload("nested too deeply", Reason.TOKEN_MALFORMED, nested(17)),
    payload("nested absurdly", Reason.TOKEN_MALFORMED, nested(9000)),
    payload("thousands of lists", Reason.TOKEN_MALFORMED, member('"x": [' + "[]," * 2100 + "0]")),
    payload("raw control character in a string", Reason.TOKEN_MALFORMED, member('"x": "a\nb"')),
)

HEADER = (
    header("jwk", Reason.HEADER_NOT_ALLOWED, jwk=SigningKey("mine", serial=99).jwk()),
    header("jku", Reason.HEADER_NOT_ALLOWED, jku="https://evil.example/keys"),
    header("x5u", Reason.HEADER_NOT_ALLOWED, x5u="https://evil.example/cert"),
    header("x5c", Reason.HEADER_NOT_ALLOWED, x5c=["MIIB"]),
    header("crit", Reason.HEADER_NOT_ALLOWED, crit=["exp"]),
    header("crit, empty", Reason.HEADER_NOT_ALLOWED, crit=[]),
    header("b64", Reason.HEADER_NOT_ALLOWED, b64=False),
    header("zip", Reason.HEADER_NOT_ALLOWED, zip="DEF"),
    header("enc", Reason.HEADER_NOT_ALLOWED, enc="A256GCM"),
    header("cty", Reason.HEADER_NOT_ALLOWED, cty="JWT"),
    header("a parameter nobody knows", Reason.HEADER_NOT_ALLOWED, nonce="1"),
    header("typ JWT", Reason.TOKEN_TYPE, typ="JWT"),
    header("typ of an ID token or none", Reason.TOKEN_TYPE, typ=ABSENT),
    header("typ of a logout token", Reason.TOKEN_TYPE, typ="logout+jwt"),
    header("typ of an introspection response", Reason.TOKEN_TYPE, typ="token-introspection+jwt"),
    header("typ of a DPoP proof", Reason.TOKEN_TYPE, typ="dpop+jwt"),
    header("typ is a list", Reason.TOKEN_TYPE, typ=["at+jwt"]),
    header("typ dpop, let off for JWT", Reason.TOKEN_TYPE, typ="dpop+jwt", settings={"insecure_header_typ_jwt": True}),
    header("alg none", Reason.ALGORITHM_NOT_ALLOWED, alg="none"),
    header("alg None", Reason.ALGORITHM_NOT_ALLOWED, alg="None"),
    header("alg missing", Reason.ALGORITHM_NOT_ALLOWED, alg=ABSENT),
    header("alg is a list", Reason.ALGORITHM_NOT_ALLOWED, alg=["RS256"]),
    header("alg not in the issuer's list", Reason.ALGORITHM_NOT_ALLOWED, alg="RS512"),
    header("alg of the key, but not of the issuer", Reason.ALGORITHM_NOT_ALLOWED, settings={"algorithms": ("ES256",)}),
    header("alg of another type of key", Reason.ALGORITHM_NOT_ALLOWED, alg="ES256"),
    header("alg other than the JWK's", Reason.ALGORITHM_NOT_ALLOWED, alg="PS256"),
    header("alg in lower case", Reason.ALGORITHM_NOT_ALLOWED, alg="rs256"),
    Case("unsecured", Reason.ALGORITHM_NOT_ALLOWED, lambda m: m.token(header={"alg": "none"}).rpartition(".")[0] + "."),
    Case("HMAC with the public key", Reason.ALGORITHM_NOT_ALLOWED, hmac_with_the_public_key),
    header("kid unknown", Reason.KEY_UNKNOWN, kid="nobody's"),
    header("kid missing", Reason.KEY_UNKNOWN, kid=ABSENT),
    header("kid empty", Reason.KEY_UNKNOWN, kid=""),
    header("kid is a number", Reason.KEY_UNKNOWN, kid=1),
    header("kid is a list", Reason.KEY_UNKNOWN, kid=["key-1"]),
    header("kid is a path", Reason.KEY_UNKNOWN, kid="../../dev/null"),
    Case("kid denied", Reason.KEY_DENIED, good, {"keys": Keys(deny=("key-1",))}),
)

SIGNATURE = (
    Case("signed by another key", Reason.SIGNATURE_INVALID, signed_by_another),
    text("no signature", Reason.SIGNATURE_INVALID, lambda token: token.rpartition(".")[0] + "."),
    text("short signature", Reason.SIGNATURE_INVALID, lambda token: token.rpartition(".")[0] + ".AAAA"),
    text("signature of zeros", Reason.SIGNATURE_INVALID, lambda token: f"{token.rpartition('.')[0]}.{b64(bytes(256))}"),
    text(
        "claims changed after signing",
        Reason.SIGNATURE_INVALID,
        lambda token: segments(
            token, p=lambda body: b64(base64.urlsafe_b64decode(body + "==").replace(b"db-", b"xx-"))
        ),
    ),
)

ISSUER = (
    claims("iss missing", Reason.CLAIM_MISSING, iss=ABSENT),
    claims("iss a list", Reason.CLAIM_TYPE, iss=["https://sso.example.com/realms/demo"]),
    claims("iss of another", Reason.ISSUER_UNKNOWN, iss=OTHER),
    claims("iss with a slash after", Reason.ISSUER_UNKNOWN, iss="https://sso.example.com/realms/demo/"),
    claims("iss in other case", Reason.ISSUER_UNKNOWN, iss="https://SSO.example.com/realms/demo"),
    claims("iss with a port", Reason.ISSUER_UNKNOWN, iss="https://sso.example.com:443/realms/demo"),
    claims("iss empty", Reason.ISSUER_UNKNOWN, iss=""),
    Case("two issuers with one iss", Reason.ISSUER_AMBIGUOUS, good, also=lambda mint: (settings_for(mint),)),
    Case("HBA names another issuer", Reason.ISSUER_MISMATCH, good, request={"hba_issuer": OTHER}),
    Case(
        "HBA names another, opened to another database",
        Reason.ISSUER_MISMATCH,
        good,
        {"databases": ("payroll",)},
        {"hba_issuer": OTHER},
    ),
    Case(
        "HBA names its parent",
        Reason.ISSUER_MISMATCH,
        good,
        request={"hba_issuer": "https://sso.example.com/realms"},
    ),
)

NO_TIMES: tuple[Any, ...] = (True, float(NOW), str(NOW), "1e9", None, [NOW])
NO_TEXTS: tuple[Any, ...] = (1, None, ["x"], {"x": 1}, True)

CLAIMS = (
    *(
        claims(f"{name} missing", Reason.CLAIM_MISSING, **{name: ABSENT})
        for name in ("sub", "aud", "exp", "iat", "jti", "azp", "typ")
    ),
    *(
        claims(f"{name} is {value!r}", Reason.CLAIM_TYPE, **{name: value})
        for name in ("exp", "iat", "nbf")
        for value in NO_TIMES
    ),
    *(
        claims(f"{name} is {value!r}", Reason.CLAIM_TYPE, **{name: value})
        for name in ("sub", "azp", "jti", "scope", "sid", "typ", "client_id")
        for value in NO_TEXTS
    ),
    claims("aud is a number", Reason.CLAIM_TYPE, aud=1),
    claims("aud is an object", Reason.CLAIM_TYPE, aud={AUDIENCE: True}),
    claims("aud lists a number", Reason.CLAIM_TYPE, aud=[AUDIENCE, 1]),
    claims("scope with a tab", Reason.CLAIM_TYPE, scope="openid\tdb:demo"),
    claims("scope with two spaces", Reason.CLAIM_TYPE, scope="openid  db:demo"),
    claims("scope with a quote", Reason.CLAIM_TYPE, scope='db:demo "'),
    claims("declared string is a number", Reason.CLAIM_TYPE, acr=1),
    claims("declared string is null", Reason.CLAIM_TYPE, acr=None),
    claims("declared string holds NUL", Reason.CLAIM_TYPE, acr="a\0b"),
    claims("declared int is a bool", Reason.CLAIM_TYPE, level=True),
    claims("declared int is a float", Reason.CLAIM_TYPE, level=1.0),
    claims("declared int is larger than bigint", Reason.CLAIM_TYPE, level=2**63),
    claims("declared bool is a string", Reason.CLAIM_TYPE, vip="true"),
    claims("declared list is a string", Reason.CLAIM_TYPE, teams="a"),
    claims("declared list holds a number", Reason.CLAIM_TYPE, teams=["a", 1]),
    claims("roles are a string", Reason.CLAIM_TYPE, realm_access={"roles": "db-read"}),
    claims("roles are under a list", Reason.CLAIM_TYPE, realm_access=["roles"]),
    claims("groups hold a list", Reason.CLAIM_TYPE, groups=[["/staff"]]),
)

KIND = (
    *(
        claims(f"payload typ {typ}", Reason.TOKEN_KIND, typ=typ)
        for typ in ("ID", "Refresh", "Offline", "Logout", "RegistrationAccessToken", "bearer", "Bearer ", "", "DPoP")
    ),
    claims("nonce of an ID token", Reason.TOKEN_KIND, nonce="n"),
    claims("at_hash of an ID token", Reason.TOKEN_KIND, at_hash="h"),
    claims("c_hash of an ID token", Reason.TOKEN_KIND, c_hash="h"),
    claims("s_hash of an ID token", Reason.TOKEN_KIND, s_hash="h"),
    claims("a mark whose value is null", Reason.TOKEN_KIND, nonce=None),
    claims("logout token", Reason.TOKEN_KIND, events={"http://schemas.openid.net/event/backchannel-logout": {}}),
    claims("requesting party token", Reason.TOKEN_KIND, authorization={"permissions": []}),
    claims("introspection response", Reason.TOKEN_KIND, token_introspection={"active": True}),
    claims("introspection response of Keycloak", Reason.TOKEN_KIND, active=True),
    claims("offline session", Reason.TOKEN_KIND, jti="ofrtdg:1"),
    claims("offline transient session", Reason.TOKEN_KIND, jti="ftrtcc:1"),
    claims("exchanged", Reason.TOKEN_KIND, jti="onrtte:1"),
    claims("exchanged, lightweight", Reason.TOKEN_KIND, jti="onltte:1"),
    claims("scope offline_access", Reason.TOKEN_KIND, scope="db:demo offline_access"),
    claims("DPoP-bound", Reason.SENDER_CONSTRAINED, cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
    claims("certificate-bound", Reason.SENDER_CONSTRAINED, cnf={"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN"}),
    claims("cnf of no known kind", Reason.SENDER_CONSTRAINED, cnf={"future": 1}),
    claims("cnf null", Reason.SENDER_CONSTRAINED, cnf=None),
    claims("IMPERSONATOR_ID", Reason.IMPERSONATED, IMPERSONATOR_ID="admin"),
    claims("IMPERSONATOR_USERNAME, empty", Reason.IMPERSONATED, IMPERSONATOR_USERNAME=""),
    claims("impersonator", Reason.IMPERSONATED, impersonator={"id": "admin"}),
    claims("act", Reason.ACTOR_NOT_ALLOWED, act={"sub": "agent"}),
    claims("act, empty", Reason.ACTOR_NOT_ALLOWED, act={}),
    claims("act null", Reason.ACTOR_NOT_ALLOWED, act=None),
)

TIME = (
    claims("expired at the leeway's end", Reason.TOKEN_EXPIRED, iat=NOW - 300, exp=NOW - 10),
    claims("expired long ago", Reason.TOKEN_EXPIRED, iat=1, exp=300),
    claims("exp negative", Reason.TOKEN_EXPIRED, exp=-1),
    claims("iat beyond the leeway", Reason.TOKEN_NOT_YET_VALID, iat=NOW + 11),
    claims("nbf beyond the leeway", Reason.TOKEN_NOT_YET_VALID, nbf=NOW + 11),
    claims("nbf absurd", Reason.TOKEN_NOT_YET_VALID, nbf=10**30),
    claims("lives a second too long", Reason.LIFETIME_TOO_LONG, exp=NOW + 901),
    claims("lives for ever", Reason.LIFETIME_TOO_LONG, exp=10**400),
    claims("issued at the beginning of time", Reason.LIFETIME_TOO_LONG, iat=0),
    claims("lives no time at all", Reason.LIFETIME_TOO_LONG, exp=NOW),
    claims("expires before it is issued", Reason.LIFETIME_TOO_LONG, iat=NOW + 5, exp=NOW - 5),
    claims(
        "issued before not_before",
        Reason.TOKEN_REVOKED,
        settings={"not_before": datetime.fromtimestamp(NOW + 1, UTC)},
    ),
)

WHOSE = (
    claims("aud of another", Reason.AUDIENCE_MISMATCH, aud="db:other"),
    claims("aud and another", Reason.AUDIENCE_MISMATCH, aud=[AUDIENCE, "account"]),
    claims("aud empty", Reason.AUDIENCE_MISMATCH, aud=[]),
    claims("aud begins as ours", Reason.AUDIENCE_MISMATCH, aud=AUDIENCE + "-2"),
    claims("aud in other case", Reason.AUDIENCE_MISMATCH, aud=AUDIENCE.upper()),
    claims("aud names ours among words", Reason.AUDIENCE_MISMATCH, aud=f"{AUDIENCE} account"),
    claims("client not listed", Reason.CLIENT_NOT_ALLOWED, azp="shop"),
    claims("client in other case", Reason.CLIENT_NOT_ALLOWED, azp="PGBEARER-CLI"),
    claims("azp and client_id differ", Reason.CLIENT_NOT_ALLOWED, client_id="shop"),
    claims("no clients listed for Keycloak", Reason.CLIENT_NOT_ALLOWED, settings={"clients": ()}),
    claims("no scope at all", Reason.SCOPE_MISSING, scope=ABSENT),
    claims("scope missing", Reason.SCOPE_MISSING, scope="openid"),
    claims("scope begins as ours", Reason.SCOPE_MISSING, scope="db:demo2"),
    claims("scope in other case", Reason.SCOPE_MISSING, scope="DB:DEMO"),
    Case("one of two scopes", Reason.SCOPE_MISSING, good, request={"hba_scopes": ("db:demo", "db:admin")}),
    *(
        claims(f"sub {sub!r}"[:60], Reason.SUBJECT_INVALID, sub=sub)
        for sub in (
            "",
            " ",
            "alice ",
            "al\0ice",
            "al\nice",
            "al\x1bice",
            "al\u202eice",
            "al\u2066ice",
            "al\u200bice",
            "al\u2028ice",
            "al\u00a0ice",
            "al\ufeffice",
            "x" * 256,
            "é" * 128,
            "spiffe://example.org/db",
            "system:serviceaccount:default:db",
        )
    ),
    claims("identity too long", Reason.SUBJECT_INVALID, sub="x" * 252),
    claims("identity of a workload", Reason.SUBJECT_INVALID, sub="x", settings={"identity": "spiffe://{sub}"}),
    *(
        claims(f"acr {acr!r} in the identity", Reason.NAME_NOT_EXPRESSIBLE, acr=acr, settings={"identity": "c:{acr}"})
        for acr in ("", "a#b", "a,b", "a:b", "a b", "a\n", "-a", "a" * 64, "ä", "{sub}")
    ),
    claims("claim of the identity missing", Reason.CLAIM_MISSING, settings={"identity": "c:{acr}"}),
)

KEYS = (
    Case("keys were never fetched", Reason.KEYS_UNAVAILABLE, good, prepare=without_keys),
    Case("keys are stale", Reason.KEYS_STALE, good, prepare=with_stale_keys),
    Case("key is weak", Reason.KEY_UNSUITABLE, good, prepare=with_a_weak_key),
    Case("two keys have the kid", Reason.KEY_UNSUITABLE, good, prepare=with_two_keys_of_one_kid),
)

CASES = (*KEYS, *SHAPE, *HEADER, *SIGNATURE, *ISSUER, *CLAIMS, *KIND, *TIME, *WHOSE)
TOKEN_REASONS = list(Reason)[
    list(Reason).index(Reason.TOKEN_MISSING) : list(Reason).index(Reason.ACTOR_NOT_ALLOWED) + 1
]


async def outcome(case: Case) -> Reason:
    mint = Mint()
    desk = Desk(mint, also=case.also(mint), **case.settings)
    await case.prepare(desk)
    return await desk.refusal(case.make(mint), **({"now": float(NOW)} | case.request))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_refused(case: Case) -> None:
    assert await outcome(case) is case.reason


async def test_the_good_token_of_this_table_is_accepted() -> None:
    mint = Mint()
    desk = Desk(mint)
    await desk.fetch()
    assert await desk.refusal(good(mint), now=float(NOW)) is Reason.ALLOWED


def test_every_reason_of_a_token_has_a_case() -> None:
    assert not set(TOKEN_REASONS) - {case.reason for case in CASES}


@pytest.mark.parametrize("check", [check for check in HEADER_CHECKS if check is not issuer_is_exact] + [*CLAIM_CHECKS])
async def test_every_check_is_what_refuses_some_case(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table would notice the loss of any check: without it, some case is not refused for its reason."""
    monkeypatch.setattr(verifier, "HEADER_CHECKS", [other for other in HEADER_CHECKS if other is not check])
    monkeypatch.setattr(verifier, "CLAIM_CHECKS", [other for other in CLAIM_CHECKS if other is not check])
    for case in CASES:
        try:
            noticed = await outcome(case) is not case.reason
        except (AssertionError, LookupError):  # later checks rely on the first two of the claims
            noticed = True
        if noticed:
            return
    pytest.fail(f"no case needs {check.__name__}")


async def test_a_verifier_refuses_tokens_of_another_issuer_itself() -> None:
    """`Verifiers` chooses by iss, so only a verifier asked directly can show that it checks."""
    mint = Mint()
    desk = Desk(mint)
    await desk.fetch()
    with pytest.raises(Denied) as caught:
        await desk.verifiers.by_name["corp"].verify(parse(mint.token(iss=OTHER)), NOW)
    assert caught.value.reason is Reason.ISSUER_UNKNOWN


def test_names_of_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
async def test_ecdsa_signature_as_der_is_refused(algorithm: str) -> None:
    mint = Mint(algorithm=algorithm)
    desk = Desk(mint, algorithms=(algorithm,))
    await desk.fetch()
    assert await desk.refusal(good(mint), now=float(NOW)) is Reason.ALLOWED
    assert await desk.refusal(der_signature(mint), now=float(NOW)) is Reason.SIGNATURE_INVALID
