"""Which published keys may verify a token, and why the others may not."""

from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from jwt.algorithms import ECAlgorithm

from pgbearer.tokens.keys import KeyDocumentError, read_key_document
from tests.issuer import ABSENT, SigningKey

RSA = SigningKey("k")
EC = SigningKey("k", "ES256")


@pytest.mark.parametrize(
    ("key", "changes", "algorithms"),
    [
        (RSA, {}, {"RS256"}),
        (RSA, {"alg": ABSENT}, {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        (RSA, {"key_ops": ["verify"]}, {"RS256"}),
        (EC, {"alg": ABSENT}, {"ES256"}),
        (SigningKey("k", "ES384"), {}, {"ES384"}),
        (SigningKey("k", "ES512"), {}, {"ES512"}),
        (SigningKey("k", "EdDSA"), {}, {"EdDSA"}),
    ],
)
def test_usable(key: SigningKey, changes: dict[str, Any], algorithms: set[str]) -> None:
    document = read_key_document({"keys": [key.jwk(**changes)]})
    assert document.usable["k"].algorithms == algorithms
    assert not document.unusable


@pytest.mark.parametrize(
    ("key", "changes", "why"),
    [
        (RSA, {"use": ABSENT}, "use=sig"),
        (RSA, {"use": "enc"}, "use=sig"),
        (RSA, {"use": ["sig"]}, "use=sig"),
        (RSA, {"key_ops": ["encrypt"]}, "key_ops"),
        (RSA, {"key_ops": "verify"}, "key_ops"),
        (RSA, {"d": "AQAB"}, "secret half"),
        (RSA, {"alg": "ES256"}, "alg does not fit"),
        (RSA, {"alg": "RSA-OAEP"}, "alg does not fit"),
        (RSA, {"alg": "HS256"}, "alg does not fit"),
        (RSA, {"alg": None}, "alg does not fit"),
        (RSA, {"kty": "oct", "k": "c2VjcmV0"}, "secret half"),
        (RSA, {"kty": "oct"}, "kty"),
        (RSA, {"kty": ["RSA"]}, "kty"),
        (RSA, {"kty": ABSENT}, "kty"),
        (RSA, {"n": "AQAB"}, "RSA of 17 bits|make no key"),
        (RSA, {"n": ABSENT}, "make no key"),
        (RSA, {"n": 5}, "make no key"),
        (RSA, {"n": "!!"}, "make no key|RSA of"),
        (RSA, {"e": "Aw"}, "exponent"),
        (RSA, {"e": "AQ"}, "make no key|exponent"),
        (SigningKey("k", bits=1024), {}, "RSA of 1024 bits"),
        (EC, {"x": "AA"}, "make no key"),
        (EC, {"y": SigningKey("o", "ES256", 2).jwk()["y"]}, "make no key"),
        (EC, {"crv": "secp256k1"}, "make no key|curve"),
        (EC, {"crv": "P-384"}, "make no key"),
        (SigningKey("k", "EdDSA"), {"crv": "Ed448"}, "make no key|curve"),
        (SigningKey("k", "EdDSA"), {"crv": "X25519"}, "make no key"),
    ],
)
def test_unusable(key: SigningKey, changes: dict[str, Any], why: str) -> None:
    document = read_key_document({"keys": [key.jwk(**changes)]})
    assert not document.usable
    assert any(part in document.unusable["k"] for part in why.split("|"))


def test_a_curve_that_openssl_lacks_is_one_unusable_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go on being used: an issuer may publish what some distribution's OpenSSL does not have."""

    def lacks(_: object) -> None:
        raise UnsupportedAlgorithm("Curve secp256k1 is not supported")

    monkeypatch.setattr(ECAlgorithm, "from_jwk", lacks)
    document = read_key_document({"keys": [EC.jwk(kid="k1"), SigningKey("other").jwk()]})
    assert set(document.usable) == {"other"}
    assert "OpenSSL" in document.unusable["k1"]


def test_encryption_key_beside_the_signing_key_does_no_harm() -> None:
    keys = [SigningKey("e", serial=2).jwk(use="enc", alg="RSA-OAEP"), RSA.jwk(), EC.jwk(kid="k2")]
    document = read_key_document({"keys": keys})
    assert document.usable.keys() == {"k", "k2"}
    assert document.unusable.keys() == {"e"}


@pytest.mark.parametrize("entries", [[0, 1], [1, 0]])
def test_encryption_key_of_the_same_kid_does_no_harm(entries: list[int]) -> None:
    keys = [SigningKey("k", serial=2).jwk(use="enc"), RSA.jwk()]
    document = read_key_document({"keys": [keys[entry] for entry in entries]})
    assert document.usable.keys() == {"k"}
    assert not document.unusable


@pytest.mark.parametrize("count", [2, 3])
def test_two_signing_keys_of_one_kid_are_both_unusable(count: int) -> None:
    document = read_key_document({"keys": [SigningKey("k", serial=serial).jwk() for serial in range(count)]})
    assert not document.usable
    assert document.unusable == {"k": "two keys have this kid"}


@pytest.mark.parametrize("kid", [ABSENT, "", None, 5, "x" * 257])
def test_key_that_no_token_could_name_is_left_out(kid: object) -> None:
    document = read_key_document({"keys": [RSA.jwk(kid=kid)]})
    assert not document.usable
    assert not document.unusable


@pytest.mark.parametrize(
    "document", [{}, {"keys": None}, {"keys": {}}, {"keys": ["k"]}, {"keys": [None]}, {"keys": [RSA.jwk()] * 65}]
)
def test_no_key_set(document: dict[str, Any]) -> None:
    with pytest.raises(KeyDocumentError):
        read_key_document(document)


def test_key_shows_no_numbers() -> None:
    assert "public" not in repr(read_key_document({"keys": [RSA.jwk()]}).usable["k"])
