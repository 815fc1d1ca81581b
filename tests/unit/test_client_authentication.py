"""How a client proves that it is itself, and what is no key to do it with."""

import base64
import importlib.util
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from pgbearer.client.secret import Secret
from pgbearer.client.sources import authentication
from pgbearer.client.sources.authentication import ClientCertificate, ClientSecret, FederatedAssertion, SignedAssertion
from pgbearer.client.sources.signing import signed
from pgbearer.errors import MissingExtraError, UsageError
from tests.issuer import Mint

ISSUER = "https://sso.test/realms/corp"
FILE = Path("/run/secrets/x")
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505


def pem(key: Any, lock: KeySerializationEncryption | None = None) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock or NoEncryption()))


@pytest.mark.parametrize(
    ("key", "wanted", "algorithm"),
    [
        (RSA, None, "RS256"),
        (RSA, "PS256", "PS256"),
        (RSA, "RS512", "RS512"),
        (ec.generate_private_key(ec.SECP256R1()), None, "ES256"),
        (ec.generate_private_key(ec.SECP384R1()), None, "ES384"),
        (ec.generate_private_key(ec.SECP521R1()), "ES512", "ES512"),
        (ed25519.Ed25519PrivateKey.generate(), None, "EdDSA"),
        (ed448.Ed448PrivateKey.generate(), None, "EdDSA"),
    ],
)
def test_the_algorithm_follows_from_the_key(key: Any, wanted: str | None, algorithm: str) -> None:
    made = signed({"sub": "x"}, FILE, pem(key), key_id="k1", algorithm=wanted)
    assert jwt.get_unverified_header(made) == {"alg": algorithm, "kid": "k1", "typ": "JWT"}
    assert jwt.decode(made, key.public_key(), [algorithm]) == {"sub": "x"}


@pytest.mark.parametrize(
    ("content", "wanted", "said"),
    [
        (b"no key", None, "holds no private key"),
        (pem(RSA, BestAvailableEncryption(b"x")), None, "holds no private key"),
        (pem(WEAK), None, "too weak or unknown"),
        (pem(ec.generate_private_key(ec.SECP256K1())), None, "too weak or unknown"),
        (pem(dsa.generate_private_key(2048)), None, "too weak or unknown"),
        (pem(RSA), "ES256", "holds a key for RS256 or .*, not ES256"),
        (pem(RSA), "none", "not none"),
        (pem(RSA), "HS256", "not HS256"),
    ],
    ids=["none", "locked", "weak", "another curve", "DSA", "another kind", "no algorithm", "a shared one"],
)
def test_what_is_no_key(content: bytes, wanted: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        signed({}, FILE, content, key_id=None, algorithm=wanted)
    assert caught.value.where == str(FILE)
    assert "BEGIN" not in str(caught.value)


def test_an_assertion_is_for_one_issuer_short_and_new_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "read_private", lambda _file: pem(RSA))
    client = SignedAssertion("billing", FILE)
    proofs = [client.prove(ISSUER, 1_000_000.7) for _ in range(2)]
    for proof in proofs:
        assert proof.headers == {}
        assert proof.fields["client_id"] == "billing"
        assert proof.fields["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    claims = [jwt.decode(proof.fields["client_assertion"], options={"verify_signature": False}) for proof in proofs]
    assert claims[0]["jti"] != claims[1]["jti"]
    assert {name: value for name, value in claims[0].items() if name != "jti"} == {
        "iss": "billing",
        "sub": "billing",
        "aud": ISSUER,
        "iat": 1_000_000,
        "exp": 1_000_050,
    }


def test_a_secret_is_form_encoded_before_it_is_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 6749 section 2.3.1."""
    monkeypatch.setattr(authentication, "read_secret", lambda _file: Secret("a: b+c%"))
    proof = ClientSecret("db:billing", FILE).prove(ISSUER, 0)
    kind, _, pair = proof.headers["authorization"].partition(" ")
    assert (kind, base64.b64decode(pair)) == ("Basic", b"db%3Abilling:a%3A+b%2Bc%25")
    assert proof.fields == {}
    assert pair not in repr(proof)


def test_a_certificate_leaves_only_the_name_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(authentication, "read_private", looked.append)
    client = ClientCertificate("billing", (Path("crt"), Path("key")))
    assert client.prove(ISSUER, 0).fields == {"client_id": "billing"}
    assert looked == [Path("key")]


@pytest.mark.parametrize("client_id", ["", "billing"])
def test_a_pods_token_is_the_assertion(client_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    token = Mint().token()
    monkeypatch.setattr(authentication, "read_trusted", lambda _file: f"{token}\n".encode())
    proof = FederatedAssertion(FILE, client_id).prove(ISSUER, 0)
    assert proof.fields["client_assertion"] == token
    assert proof.fields.get("client_id", "") == client_id
    assert token not in repr(proof)


@pytest.mark.parametrize("module", ["jwt", "cryptography"])
def test_without_the_extra(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == module else find(name))
    with pytest.raises(MissingExtraError, match=rf"\[jwt\].*{module}"):
        SignedAssertion("billing", FILE)
