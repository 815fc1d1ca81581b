"""Which key a token may be verified with: what kid says, and what the issuer publishes."""

from collections.abc import Mapping
from typing import Any

import pytest

from pgbearer.config.settings import Keys
from pgbearer.wire import Reason
from tests.attacks.cases import Case, good, header, name_of, outcome, published
from tests.attacks.fix_door import Door
from tests.issuer import ABSENT, Mint, SigningKey
from tests.unit.fix_tokens import Desk

WEAK = SigningKey("weak", bits=1024)
EC = SigningKey("ec", "ES256")
FLOOD = 60

Jwks = list[dict[str, Any]]


def jwk(name: str, reason: Reason, **changes: Any) -> Case:
    """A good token, whose key is published with these members changed."""

    def publish(keys: Jwks) -> Jwks:
        return [{key: value for key, value in {**one, **changes}.items() if value is not ABSENT} for one in keys]

    return published(name, reason, publish)


def ec_jwk(name: str, reason: Reason, **changes: Any) -> Case:
    """A token by an EC key, which is published beside the good one with these members changed."""
    return published(name, reason, lambda keys: [*keys, EC.jwk(**changes)], by_ec)


def by_ec(mint: Mint, now: int) -> str:
    return mint.token(key=EC, header={"kid": EC.kid, "alg": "ES256"}, iat=now, exp=now + 300)


def by_weak(mint: Mint, now: int) -> str:
    return mint.token(key=WEAK, header={"kid": WEAK.kid}, iat=now, exp=now + 300)


def crowd(keys: Jwks) -> Jwks:
    return [*keys, *(SigningKey(f"more-{number}").jwk() for number in range(64))]


async def without_keys(desk: Desk) -> None:
    desk.documents.broken = True
    await desk.fetch()


async def with_stale_keys(desk: Desk) -> None:
    await desk.fetch()
    desk.clock.seconds += Keys().max_stale + 1


ASKED: Mapping[str, object] = {
    "unknown": "nobody's",
    "missing": ABSENT,
    "empty": "",
    "null": None,
    "a number": 1,
    "a list": ["key-1"],
    "true": True,
    "in other case": "KEY-1",
    "with a space after": "key-1 ",
    "with NUL after": "key-1\0",
    "with a look-alike": "k\u0435y-1",
    "a path": "../../dev/null",
    "an absolute path": "/etc/passwd",
    "a URL": "https://evil.example/keys#key-1",
    "a statement": "key-1' OR '1'='1",
    "a template": "{kid}",
    "a wildcard": "*",
    "a newline": "key-1\nkey-1",
    "9 KB long": "k" * 9_000,
}

KID = (
    *(header(f"kid is {name}", Reason.KEY_UNKNOWN, kid=value) for name, value in ASKED.items()),
    header("kid of 40 KB", Reason.TOKEN_TOO_LARGE, kid="k" * 40_000),
    Case(
        "kid of 100 KB",
        Reason.TOKEN_TOO_LARGE,
        lambda mint, now: mint.token(header={"kid": "k" * 100_000}, iat=now, exp=now + 300),
        no_login="PostgreSQL takes no message of more than 64 KB",
    ),
    Case("kid denied", Reason.KEY_DENIED, good, {"keys": {"deny": ("key-1",)}}),
)

PUBLISHED = (
    jwk("no use", Reason.KEY_UNSUITABLE, use=ABSENT),
    jwk("use null", Reason.KEY_UNSUITABLE, use=None),
    jwk("use enc", Reason.KEY_UNSUITABLE, use="enc"),
    jwk("use in a list", Reason.KEY_UNSUITABLE, use=["sig"]),
    jwk("key_ops without verify", Reason.KEY_UNSUITABLE, key_ops=["encrypt"]),
    jwk("for encryption", Reason.KEY_UNSUITABLE, alg="RSA-OAEP"),
    jwk("for HMAC", Reason.KEY_UNSUITABLE, alg="HS256"),
    jwk("for another type of key", Reason.KEY_UNSUITABLE, alg="ES256"),
    jwk("for another algorithm of its type", Reason.ALGORITHM_NOT_ALLOWED, alg="PS256"),
    jwk("a shared secret", Reason.KEY_UNSUITABLE, kty="oct", k="c2VjcmV0"),
    jwk("with its secret half", Reason.KEY_UNSUITABLE, d="AQAB"),
    jwk("of an unknown type", Reason.KEY_UNSUITABLE, kty="AKP"),
    jwk("without a type", Reason.KEY_UNSUITABLE, kty=ABSENT),
    jwk("with exponent 1", Reason.KEY_UNSUITABLE, e="AQ"),
    jwk("with exponent 3", Reason.KEY_UNSUITABLE, e="Aw"),
    jwk("with a modulus of 17 bits", Reason.KEY_UNSUITABLE, n="AQAB"),
    jwk("without a modulus", Reason.KEY_UNSUITABLE, n=ABSENT),
    jwk("with a modulus that is no text", Reason.KEY_UNSUITABLE, n=5),
    jwk("of another kid", Reason.KEY_UNKNOWN, kid="key-2"),
    jwk("of a kid too long to name", Reason.KEY_UNKNOWN, kid="k" * 257),
    jwk("without a kid", Reason.KEY_UNKNOWN, kid=ABSENT),
    jwk("another key of the kid", Reason.SIGNATURE_INVALID, **SigningKey("key-1", serial=99).jwk()),
    published("RSA of 1024 bits", Reason.KEY_UNSUITABLE, lambda keys: [*keys, WEAK.jwk()], by_weak),
    published("two keys of one kid", Reason.KEY_UNSUITABLE, lambda keys: [*keys, SigningKey("key-1", serial=2).jwk()]),
    published("the key twice", Reason.KEY_UNSUITABLE, lambda keys: keys * 2),
    published("no keys", Reason.KEY_UNKNOWN, lambda _keys: []),
    published("65 keys", Reason.KEYS_UNAVAILABLE, crowd),
    published("keys that are no objects", Reason.KEYS_UNAVAILABLE, lambda _keys: ["key-1"]),  # type: ignore[list-item]
    ec_jwk("a point off the curve", Reason.KEY_UNSUITABLE, y=SigningKey("ec", "ES256", 2).jwk()["y"]),
    ec_jwk("the point at infinity", Reason.KEY_UNSUITABLE, x="A" * 43, y="A" * 43),
    ec_jwk("a short point", Reason.KEY_UNSUITABLE, x="AA"),
    ec_jwk("another curve's name", Reason.KEY_UNSUITABLE, crv="P-384"),
    ec_jwk("a curve for coins", Reason.KEY_UNSUITABLE, crv="secp256k1"),
    ec_jwk("a type that is not its own", Reason.KEY_UNSUITABLE, kty="OKP"),
    Case(
        "a key of another issuer",
        Reason.KEY_UNKNOWN,
        lambda mint, now: mint.token(
            key=SigningKey("theirs", serial=7), header={"kid": "theirs"}, iat=now, exp=now + 300
        ),
    ),
)

NONE = (
    Case("keys were never fetched", Reason.KEYS_UNAVAILABLE, good, prepare=without_keys, no_login="test_documents.py"),
    Case("keys are stale", Reason.KEYS_STALE, good, prepare=with_stale_keys, no_login="takes an hour"),
)

CASES = (*KID, *PUBLISHED, *NONE)


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_refused(case: Case) -> None:
    assert await outcome(case) is case.reason


@pytest.mark.parametrize("case", [case for case in CASES if case.at_login], ids=name_of)
def test_refused_at_login(door: Door, case: Case) -> None:
    assert door.refusal(case) == case.reason


def test_a_flood_of_unknown_kids_is_refused_and_fetches_once(door: Door) -> None:
    door.admit(Case("good", Reason.ALLOWED, good))
    before = door.issuer.key_fetches
    for number in range(FLOOD):
        assert door.refusal(header("unknown", Reason.KEY_UNKNOWN, kid=f"junk-{number}")) == Reason.KEY_UNKNOWN
    assert door.issuer.key_fetches <= before + 1
    door.admit(Case("good", Reason.ALLOWED, good))


async def test_the_same_keys_unspoilt_are_accepted() -> None:
    assert await outcome(jwk("good", Reason.ALLOWED)) is Reason.ALLOWED
    assert await outcome(ec_jwk("good", Reason.ALLOWED)) is Reason.ALLOWED
