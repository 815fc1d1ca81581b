"""ML-DSA (RFC 9964): let in where the issuer's settings name it, with its one key; every mixture of kinds is refused.

Keys of type AKP say their algorithm themselves, so what is tried is to make them be read as another's.
"""

import base64
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from pgbearer.tokens.post_quantum import ML_DSA
from pgbearer.wire import Reason
from tests.attacks.cases import Case, name_of, outcome
from tests.attacks.fix_door import Door
from tests.issuer import ABSENT, Mint, SigningKey, b64

KEYS = {algorithm: SigningKey(algorithm.lower(), algorithm) for algorithm in ML_DSA}
SIZES = {"ML-DSA-44": (1312, 2420), "ML-DSA-65": (1952, 3309), "ML-DSA-87": (2592, 4627)}
"""FIPS 204 table 2: public key and signature, bytes."""
RSA, EC, ED = (SigningKey(name, name) for name in ("RS256", "ES256", "EdDSA"))
ALL: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA", *ML_DSA)
UNSUITABLE, NOT_ALLOWED, INVALID = Reason.KEY_UNSUITABLE, Reason.ALGORITHM_NOT_ALLOWED, Reason.SIGNATURE_INVALID

Jwk = dict[str, Any]


def token_by(key: SigningKey, mint: Mint, now: int, *, alg: object = None, kid: str | None = None) -> str:
    return mint.token(key=key, header={"kid": kid or key.kid, "alg": alg or key.algorithm}, iat=now, exp=now + 300)


def case(
    name: str,
    reason: Reason,
    key: SigningKey,
    *,
    jwk: Jwk | None = None,
    change: Callable[[str], str] = str,
    algorithms: tuple[str, ...] = ALL,
    **header: Any,
) -> Case:
    """A token by `key`, which is published beside the issuer's own, or as `jwk`; changed after it was signed."""
    published = key.jwk() if jwk is None else jwk

    def make(mint: Mint, now: int) -> str:
        return change(token_by(key, mint, now, **header))

    return Case(name, reason, make, {"algorithms": algorithms}, publish=lambda keys: [*keys, published])


def signature(change: Callable[[bytes], bytes], token: str) -> str:
    """The token with the bytes of its signature changed."""
    signed, _, last = token.rpartition(".")
    return f"{signed}.{b64(change(base64.urlsafe_b64decode(last + '==')))}"


def with_payload_of_another(token: str) -> str:
    head, body, signed = token.split(".")
    return ".".join((head, b64(base64.urlsafe_b64decode(body + "==").replace(b"db-", b"xx-")), signed))


def pub(key: SigningKey) -> bytes:
    raw: bytes = key.private.public_key().public_bytes_raw()
    return raw


def of_each() -> Iterator[Case]:
    """What is refused of every parameter set alike."""
    for name, key in KEYS.items():
        others = [other for other in ML_DSA if other != name]
        yield case(f"{name}, which the settings do not name", NOT_ALLOWED, key, algorithms=("RS256", *others))
        yield case(f"{name} by default", NOT_ALLOWED, key, algorithms=("RS256", "PS256", "ES256", "EdDSA"))
        for other in (*others, "RS256", "EdDSA", "ES256"):
            yield case(f"{name} key, said to be {other}", NOT_ALLOWED, key, alg=other)
        wrong: tuple[object, ...] = (*others, "RS256", "EdDSA", "HS256", "ML-DSA", name.replace("-", ""), "", None, 44)
        for alg in wrong:
            yield case(f"{name} key published for {alg!r}", UNSUITABLE, key, jwk=key.jwk(alg=alg))
        yield case(f"{name} key published without alg", UNSUITABLE, key, jwk=key.jwk(alg=ABSENT))
        yield case(f"{name} key published in other case", UNSUITABLE, key, jwk=key.jwk(alg=name.lower()))
        for kind in ("OKP", "RSA", "EC", "oct", "akp", "", None, ABSENT):
            shown = "no type" if kind is ABSENT else repr(kind)
            yield case(f"{name} key published as {shown}", UNSUITABLE, key, jwk=key.jwk(kty=kind))
        for what, text in published(pub(key)).items():
            yield case(f"{name} key published {what}", UNSUITABLE, key, jwk=key.jwk(pub=text))
        yield case(f"{name} key published without pub", UNSUITABLE, key, jwk=key.jwk(pub=ABSENT))
        yield case(f"{name} key published as x", UNSUITABLE, key, jwk=key.jwk(pub=ABSENT, x=b64(pub(key))))
        yield case(f"{name} key with its seed", UNSUITABLE, key, jwk=key.jwk(priv=b64(bytes(32))))
        yield case(f"{name} key for encryption", UNSUITABLE, key, jwk=key.jwk(use="enc"))
        yield case(f"{name} key without use", UNSUITABLE, key, jwk=key.jwk(use=ABSENT))
        for what, change in SIGNATURES.items():
            yield case(f"{name}, {what}", INVALID, key, change=partial(signature, change))
        yield case(f"{name}, changed after it was signed", INVALID, key, change=with_payload_of_another)
        stranger = SigningKey(key.kid, name, serial=99)
        yield case(f"{name} by another key of the kid", INVALID, stranger, jwk=key.jwk())
        yield case(f"{name} key published twice", UNSUITABLE, key, jwk=key.jwk(kid="key-1"), kid="key-1")


def published(raw: bytes) -> dict[str, object]:
    """Ways to write a public key that are not its one."""
    return {
        "a byte short": b64(raw[:-1]),
        "a byte long": b64(raw + b"\0"),
        "empty": "",
        "as a list": [b64(raw)],
        "as null": None,
        "as a number": 7,
        "with padding": b64(raw[:-1]) + "=",
        "in plain base64": base64.b64encode(b"\xfb\xff" + raw[2:]).decode(),
        "with a newline": b64(raw) + "\n",
        "with space": " " + b64(raw),
        "in hex": raw.hex(),
        "in another spelling": b64(raw)[:-1] + chr(ord(b64(raw)[-1]) + 1) if len(raw) % 3 else b64(raw) + "A",
    }


SIGNATURES: dict[str, Callable[[bytes], bytes]] = {
    "without a signature": lambda _raw: b"",
    "signature a byte short": lambda raw: raw[:-1],
    "signature a byte long": lambda raw: raw + b"\0",
    "signature twice": lambda raw: raw * 2,
    "signature of zeros": lambda raw: bytes(len(raw)),
    "signature of ones": lambda raw: b"\xff" * len(raw),
    "first bit flipped": lambda raw: bytes([raw[0] ^ 1]) + raw[1:],
    "last bit flipped": lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
    "signature of an Ed25519": lambda raw: raw[:64],
}

MIXED = (
    *(
        case(
            f"{key.algorithm} key published as AKP for {name}",
            UNSUITABLE,
            key,
            jwk={**key.jwk(), "kty": "AKP", "alg": name},
        )
        for key in (RSA, EC, ED)
        for name in ML_DSA
    ),
    *(
        case(f"{key.algorithm} key, said to be {name}", NOT_ALLOWED, key, alg=name)
        for key in (RSA, EC, ED)
        for name in ML_DSA
    ),
    *(
        case(
            f"{name} key as AKP for an algorithm that is none",
            UNSUITABLE,
            KEYS[name],
            jwk=KEYS[name].jwk(alg=["RS256"]),
        )
        for name in ML_DSA
    ),
    *(
        Case(f"alg {alg!r}", NOT_ALLOWED, partial(token_by, KEYS["ML-DSA-65"], alg=alg), {"algorithms": ALL})
        for alg in (
            "ML-DSA",
            "ML-DSA-65 ",
            "ml-dsa-65",
            "MLDSA65",
            "HashML-DSA-65",
            "ML-DSA-65-ES256",
            "SLH-DSA-SHA2-128s",
        )
    ),
)

CASES = (*of_each(), *MIXED)


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_refused(case: Case) -> None:
    assert await outcome(case) is case.reason


@pytest.mark.parametrize("case", [case for case in CASES if case.at_login], ids=name_of)
def test_refused_at_login(door: Door, case: Case) -> None:
    assert door.refusal(case) == case.reason


@pytest.mark.parametrize("name", ML_DSA)
async def test_the_same_unspoilt_is_accepted(name: str) -> None:
    assert await outcome(case("good", Reason.ALLOWED, KEYS[name])) is Reason.ALLOWED
    assert await outcome(case("only this", Reason.ALLOWED, KEYS[name], algorithms=(name,))) is Reason.ALLOWED


@pytest.mark.parametrize("name", ML_DSA)
def test_lets_in_at_a_real_login(door: Door, name: str) -> None:
    """The way of a token that is up to nine times as long as usual: SASL message, request, JSON, record."""
    good = case("good", Reason.ALLOWED, KEYS[name])
    token = token_by(KEYS[name], door.issuer, 1_800_000_000)
    assert len(token) > SIZES[name][1] * 4 / 3
    assert (len(token) > 6 * 1024) is (name == "ML-DSA-87")
    door.admit(good)


@pytest.mark.parametrize("name", ML_DSA)
def test_sizes_are_those_of_fips_204(name: str) -> None:
    assert (len(pub(KEYS[name])), len(KEYS[name].sign(b""))) == SIZES[name]
