"""Who chooses the algorithm, and what is signed: the header's say, and signatures that are almost one."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pgbearer.wire import Reason
from tests.attacks.cases import Case, claims, good, header, name_of, outcome, segments, text
from tests.attacks.fix_door import Door
from tests.issuer import ABSENT, Mint, SigningKey, b64

EC, EC384, EC512 = (SigningKey(name, name) for name in ("ES256", "ES384", "ES512"))
ED = SigningKey("EdDSA", "EdDSA")
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ALL = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


def by_key(name: str, reason: Reason, key: SigningKey, change: Callable[[str], str], alg: str | None = None) -> Case:
    """A token by `key`, which the issuer publishes too, changed after it was signed; `alg` in its header."""

    def make(mint: Mint, now: int) -> str:
        head = {"kid": key.kid, "alg": alg or key.algorithm}
        return change(mint.token(key=key, header=head, iat=now, exp=now + 300))

    return Case(name, reason, make, {"algorithms": ALL}, publish=lambda keys: [*keys, key.jwk()])


def signature(change: Callable[[bytes], bytes]) -> Callable[[str], str]:
    """Change the bytes of the signature."""

    def edit(token: str) -> str:
        signed, _, last = token.rpartition(".")
        return f"{signed}.{b64(change(base64.urlsafe_b64decode(last + '==')))}"

    return edit


def der(raw: bytes) -> bytes:
    """ECDSA as DER, which X.509 uses, instead of raw r || s (RFC 7518 section 3.4)."""
    half = len(raw) // 2
    return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))


def hmac_with(secret: Callable[[Mint], bytes], alg: str, mint: Mint, now: int) -> str:
    """The classic confusion: what everybody has, the public key, as an HMAC secret (RFC 8725 section 2.1)."""
    claims = mint.claims(iat=now, exp=now + 300)
    message = f"{b64(json.dumps(mint.header(alg=alg)).encode())}.{b64(json.dumps(claims).encode())}"
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
    return f"{message}.{b64(hmac.new(secret(mint), message.encode(), digest).digest())}"


def spki(encoding: Encoding) -> Callable[[Mint], bytes]:
    return lambda mint: mint.key.private.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


def as_another(alg: str, mint: Mint, now: int) -> str:
    """Really signed by the right key, with another algorithm than its JWK is for."""
    return mint.token(key=SigningKey(mint.key.kid, alg), header={"alg": alg}, iat=now, exp=now + 300)


def unsigned(alg: str, mint: Mint, now: int) -> str:
    return mint.token(header={"alg": alg}, iat=now, exp=now + 300).rpartition(".")[0] + "."


def changed_after_signing(token: str) -> str:
    def edit(body: str) -> str:
        return b64(base64.urlsafe_b64decode(body + "==").replace(b"db-", b"xx-"))

    return segments(token, p=edit)


SECRETS: dict[str, Callable[[Mint], bytes]] = {
    "the public key as PEM": spki(Encoding.PEM),
    "the public key as PEM without its last newline": lambda mint: spki(Encoding.PEM)(mint).rstrip(),
    "the public key as DER": spki(Encoding.DER),
    "the JWK": lambda mint: json.dumps(mint.key.jwk()).encode(),
    "the modulus": lambda mint: base64.urlsafe_b64decode(mint.key.jwk()["n"] + "=="),
    "nothing": lambda _mint: b"",
    "the issuer's name": lambda mint: mint.url.encode(),
}
NONES = ("none", "None", "NONE", "nOnE", "none ", " none", "non\u0435", "")
NOT_EVEN_TEXT = (None, True, 0, ["RS256"], {"alg": "RS256"})

CHOICE = (
    *(header(f"alg {alg!a}", Reason.ALGORITHM_NOT_ALLOWED, alg=alg) for alg in (*NONES, *NOT_EVEN_TEXT)),
    *(
        Case(
            f"alg {alg!a} and no signature",
            Reason.ALGORITHM_NOT_ALLOWED,
            partial(unsigned, alg),
        )
        for alg in ("none", "None")
    ),
    header("alg missing", Reason.ALGORITHM_NOT_ALLOWED, alg=ABSENT),
    *(
        header(f"alg {alg}", Reason.ALGORITHM_NOT_ALLOWED, alg=alg)
        for alg in (
            "rs256",
            "RS256 ",
            "RS1",
            "RS512",
            "ES256K",
            "Ed25519",
            "RSA-OAEP",
            "dir",
            "A128KW",
            "PBES2-HS256+A128KW",
        )
    ),
    header("alg of the key, but not of the issuer", Reason.ALGORITHM_NOT_ALLOWED, settings={"algorithms": ("ES256",)}),
    *(
        Case(f"{alg} with {what}", Reason.ALGORITHM_NOT_ALLOWED, partial(hmac_with, secret, alg))
        for alg in ("HS256", "HS384", "HS512")
        for what, secret in SECRETS.items()
        if alg == "HS256" or what == "the public key as PEM"
    ),
    *(
        Case(
            f"RS256 key, really signed as {alg}",
            Reason.ALGORITHM_NOT_ALLOWED,
            partial(as_another, alg),
            {"algorithms": ALL},
        )
        for alg in ("PS256", "RS384", "RS512", "PS512")
    ),
    header("RS256 key as ES256", Reason.ALGORITHM_NOT_ALLOWED, alg="ES256"),
    header("RS256 key as EdDSA", Reason.ALGORITHM_NOT_ALLOWED, alg="EdDSA"),
    *(
        by_key(f"{key.algorithm} key as {alg}", Reason.ALGORITHM_NOT_ALLOWED, key, str, alg)
        for key, alg in (
            (EC, "ES384"),
            (EC, "ES512"),
            (EC384, "ES256"),
            (EC512, "ES256"),
            (EC, "EdDSA"),
            (ED, "ES256"),
            (ED, "RS256"),
            (EC, "RS256"),
        )
    ),
)

LONG: dict[str, Any] = {"p" * 10_000: 1}
POINTERS: tuple[tuple[str, Any], ...] = (
    ("jku", "https://evil.example/keys"),
    ("jku", None),
    ("x5u", "https://evil.example/cert"),
    ("x5u", "file:///etc/ssl/cert.pem"),
    ("x5c", ["MIIB"]),
    ("crit", ["exp"]),
    ("crit", ["b64"]),
    ("crit", []),
    ("b64", False),
    ("b64", True),
    ("zip", "DEF"),
    ("enc", "A256GCM"),
    ("epk", {"kty": "EC"}),
    ("p2c", 2**31),
    ("cty", "JWT"),
    ("ppt", "shaken"),
    ("nonce", "1"),
    ("iss", "https://sso.example.com/realms/demo"),
    ("ALG", "RS256"),
)

HEADER = (
    header("jwk", Reason.HEADER_NOT_ALLOWED, jwk=SigningKey("mine", serial=99).jwk()),
    Case(
        "jwk that signed it",
        Reason.HEADER_NOT_ALLOWED,
        lambda mint, now: mint.token(
            key=SigningKey("mine", serial=99),
            header={"jwk": SigningKey("mine", serial=99).jwk()},
            iat=now,
            exp=now + 300,
        ),
    ),
    *(header(f"{name} {value!r}", Reason.HEADER_NOT_ALLOWED, **{name: value}) for name, value in POINTERS),
    header("b64=false that is critical", Reason.HEADER_NOT_ALLOWED, b64=False, crit=["b64"]),
    header("a parameter of 10 KB", Reason.HEADER_NOT_ALLOWED, **LONG),
)

SIGNATURE = (
    Case(
        "signed by another key of the same kid",
        Reason.SIGNATURE_INVALID,
        lambda mint, now: mint.token(key=SigningKey(mint.key.kid, serial=99), iat=now, exp=now + 300),
    ),
    text("no signature", Reason.SIGNATURE_INVALID, lambda token: token.rpartition(".")[0] + "."),
    text("short signature", Reason.SIGNATURE_INVALID, lambda token: token.rpartition(".")[0] + ".AAAA"),
    text("signature of zeros", Reason.SIGNATURE_INVALID, signature(lambda raw: bytes(len(raw)))),
    text("signature of ones", Reason.SIGNATURE_INVALID, signature(lambda raw: b"\xff" * len(raw))),
    text("signature of the number 1", Reason.SIGNATURE_INVALID, signature(lambda raw: bytes(len(raw) - 1) + b"\x01")),
    text("signature with a zero before", Reason.SIGNATURE_INVALID, signature(lambda raw: b"\0" + raw)),
    text("signature with a byte after", Reason.SIGNATURE_INVALID, signature(lambda raw: raw + b"\0")),
    text("signature without its last byte", Reason.SIGNATURE_INVALID, signature(lambda raw: raw[:-1])),
    text(
        "signature with one bit changed",
        Reason.SIGNATURE_INVALID,
        signature(lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])),
    ),
    text("signature twice", Reason.SIGNATURE_INVALID, signature(lambda raw: raw + raw)),
    text("claims changed after signing", Reason.SIGNATURE_INVALID, changed_after_signing),
    text(
        "header spelled otherwise after signing",
        Reason.SIGNATURE_INVALID,
        lambda token: segments(token, h=lambda head: b64(base64.urlsafe_b64decode(head + "==").replace(b", ", b" ,"))),
    ),
    Case(
        "signature of another good token",
        Reason.SIGNATURE_INVALID,
        lambda mint, now: f"{good(mint, now).rpartition('.')[0]}.{good(mint, now).rpartition('.')[2]}",
    ),
    by_key("ECDSA as DER", Reason.SIGNATURE_INVALID, EC, signature(der)),
    by_key("ECDSA as DER, P-384", Reason.SIGNATURE_INVALID, EC384, signature(der)),
    by_key("ECDSA as DER, P-521", Reason.SIGNATURE_INVALID, EC512, signature(der)),
    by_key("r is zero", Reason.SIGNATURE_INVALID, EC, signature(lambda raw: bytes(32) + raw[32:])),
    by_key("s is zero", Reason.SIGNATURE_INVALID, EC, signature(lambda raw: raw[:32] + bytes(32))),
    by_key("r and s are zero", Reason.SIGNATURE_INVALID, EC, signature(lambda _raw: bytes(64))),
    by_key("r is the order", Reason.SIGNATURE_INVALID, EC, signature(lambda raw: P256_ORDER.to_bytes(32) + raw[32:])),
    by_key("s is the order", Reason.SIGNATURE_INVALID, EC, signature(lambda raw: raw[:32] + P256_ORDER.to_bytes(32))),
    by_key("r and s change places", Reason.SIGNATURE_INVALID, EC, signature(lambda raw: raw[32:] + raw[:32])),
    by_key("r without its leading byte", Reason.SIGNATURE_INVALID, EC, signature(lambda raw: raw[1:])),
    by_key(
        "r and s of 33 bytes", Reason.SIGNATURE_INVALID, EC, signature(lambda raw: b"\0" + raw[:32] + b"\0" + raw[32:])
    ),
    by_key("empty ECDSA signature", Reason.SIGNATURE_INVALID, EC, signature(lambda _raw: b"")),
    by_key("Ed25519 of zeros", Reason.SIGNATURE_INVALID, ED, signature(lambda _raw: bytes(64))),
    by_key("Ed25519 cut", Reason.SIGNATURE_INVALID, ED, signature(lambda raw: raw[:63])),
    # S + L is the same number modulo the order L (RFC 8032 section 5.1.7 wants S < L)
    by_key(
        "Ed25519 with S beyond the order",
        Reason.SIGNATURE_INVALID,
        ED,
        signature(
            lambda raw: (
                raw[:32]
                + (int.from_bytes(raw[32:], "little") + 2**252 + 27742317777372353535851937790883648493).to_bytes(
                    32, "little"
                )
            )
        ),
    ),
)

CASES = (*CHOICE, *HEADER, *SIGNATURE)


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_refused(case: Case) -> None:
    assert await outcome(case) is case.reason


@pytest.mark.parametrize("case", [case for case in CASES if case.at_login], ids=name_of)
def test_refused_at_login(door: Door, case: Case) -> None:
    assert door.refusal(case) == case.reason


@pytest.mark.parametrize("key", [EC, EC384, EC512, ED], ids=lambda key: key.kid)
async def test_the_same_keys_unspoilt_are_accepted(key: SigningKey) -> None:
    assert await outcome(by_key("good", Reason.ALLOWED, key, str)) is Reason.ALLOWED


async def test_the_other_signature_of_an_ecdsa_token_makes_it_no_other_token() -> None:
    """With (r, s) verifies (r, n - s), and signers make either, so it cannot be refused. It says the same."""

    def other(raw: bytes) -> bytes:
        return raw[:32] + (P256_ORDER - int.from_bytes(raw[32:])).to_bytes(32)

    assert await outcome(by_key("the other s", Reason.ALLOWED, EC, signature(other))) is Reason.ALLOWED


async def test_the_good_token_is_accepted() -> None:
    assert await outcome(claims("good", Reason.ALLOWED)) is Reason.ALLOWED


def test_the_good_token_logs_in(door: Door) -> None:
    door.admit(claims("good", Reason.ALLOWED))
