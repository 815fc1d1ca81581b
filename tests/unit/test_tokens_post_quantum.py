"""Keys of ML-DSA as RFC 9964 writes them: an example of its own, exact sizes, and an OpenSSL that has none."""

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mldsa

from pgbearer.tokens import post_quantum
from pgbearer.tokens.keys import read_key_document
from pgbearer.tokens.post_quantum import ML_DSA, NoMlDsaKeyError, ml_dsa_algorithm, ml_dsa_key, ml_dsa_verifies
from tests.issuer import SigningKey, b64

THUMBPRINT = "T4xl70S7MT6Zeq6r9V9fPJGVn76wfnXJ21-gyo0Gu6o"
"""The kid of RFC 9964's example of a key: ML-DSA-44, from a seed of zeros."""


def test_the_key_of_the_rfcs_example() -> None:
    public = mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(32)).public_key()
    jwk = {"alg": "ML-DSA-44", "kty": "AKP", "pub": b64(public.public_bytes_raw())}
    thumbprint = hashlib.sha256(json.dumps(jwk, separators=(",", ":")).encode()).digest()
    assert b64(thumbprint) == THUMBPRINT
    assert ml_dsa_key(jwk) == public


@pytest.mark.parametrize("name", ML_DSA)
def test_a_key_is_for_its_own_algorithm_and_no_other(name: str) -> None:
    jwk = SigningKey("k", name).jwk()
    assert ml_dsa_algorithm(ml_dsa_key(jwk)) == name
    assert read_key_document({"keys": [jwk]}).usable["k"].algorithms == {name}
    for other in set(ML_DSA) - {name}:
        with pytest.raises(NoMlDsaKeyError, match="bytes"):
            ml_dsa_key({**jwk, "alg": other})


@pytest.mark.parametrize("name", ML_DSA)
def test_a_signature_is_of_one_message_by_one_key(name: str) -> None:
    key, other = SigningKey("k", name), SigningKey("k", name, serial=2)
    public, signature = key.private.public_key(), key.sign(b"message")
    assert ml_dsa_verifies(public, b"message", signature)
    assert not ml_dsa_verifies(public, b"massage", signature)
    assert not ml_dsa_verifies(other.private.public_key(), b"message", signature)
    assert not ml_dsa_verifies(public, b"message", signature + b"\0")


@pytest.mark.parametrize("name", ML_DSA)
def test_a_context_has_no_name_in_jose(name: str) -> None:
    key = SigningKey("k", name)
    assert not ml_dsa_verifies(key.private.public_key(), b"message", key.private.sign(b"message", b"context"))


def test_where_openssl_has_none_the_key_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_raw: bytes) -> Any:
        raise UnsupportedAlgorithm("ML-DSA-65 is not supported by this backend.")

    monkeypatch.setitem(post_quantum._KINDS, "ML-DSA-65", post_quantum._Kind(none, 1952, 3309))
    found = read_key_document({"keys": [SigningKey("k", "ML-DSA-65").jwk()]})
    assert found.unusable == {"k": "the OpenSSL that cryptography was built with has no ML-DSA"}


def test_every_spelling_of_a_key_but_one_is_refused() -> None:
    jwk = SigningKey("k", "ML-DSA-44").jwk()
    text = jwk["pub"]
    assert len(base64.urlsafe_b64decode(text + "==")) == 1312
    for other in (text + "=", text.replace("-", "+").replace("_", "/") + "+", f" {text}", text[:-1], text + "AAAA"):
        with pytest.raises(NoMlDsaKeyError):
            ml_dsa_key({**jwk, "pub": other})
