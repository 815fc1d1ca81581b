"""A JWKS document to the keys that may verify a token, and why the others may not."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt import InvalidKeyError
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from pgbearer.tokens.post_quantum import MlDsaKey, NoMlDsaKeyError, ml_dsa_algorithm, ml_dsa_key

__all__ = ["Key", "KeyDocument", "KeyDocumentError", "PublicKey", "read_key_document"]

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | MlDsaKey

_MIN_RSA_BITS: Final = 2048
_MAX_RSA_BITS: Final = 8192
"""RFC 7518 section 3.3 sets the minimum; the maximum bounds what one verification can cost."""
_RSA_EXPONENTS: Final = range(65537, 2**32)
_MAX_KEYS: Final = 64
_MAX_KID: Final = 256
_RSA_ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_SECRET: Final = frozenset({"d", "k", "priv", "seed"})
"""Members of private and shared keys: RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1, RFC 9964 section 4 and its drafts."""
_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
"""RFC 7518 section 3.4: each algorithm has its one curve."""


class KeyDocumentError(ValueError):
    """The document is not a JWK set (RFC 7517 section 5)."""


class _UnsuitableError(ValueError):
    """This one key may not verify tokens."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that may verify tokens; equal keys are the same key, whenever they were fetched."""

    kid: str
    algorithms: frozenset[str]
    """JWS algorithms that the key's type and curve allow, narrowed to the JWK's own ``alg`` if it has one."""
    public: PublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyDocument:
    """What one JWKS document offers."""

    usable: Mapping[str, Key] = field(default_factory=dict)
    """By kid."""
    unusable: Mapping[str, str] = field(default_factory=dict)
    """Why a kid may not be used."""


def read_key_document(
    document: Mapping[str, object],
    *,
    uses: Collection[object] = ("sig",),
    passed_over: Callable[[Mapping[str, object]], bool] | None = None,
) -> KeyDocument:
    """The usable keys of a JWK set, and why the others are not.

    A key is usable if it has a kid of its own, says ``use: sig``, or one of `uses` instead (and no ``key_ops`` without
    ``verify``), is not `passed_over` as another issuer's, is public, and is RSA of 2048 to 8192 bits, EC on P-256,
    P-384 or P-521, Ed25519, or ML-DSA.

    Raises:
        KeyDocumentError: if the document has no list of at most 64 objects under ``keys``.
    """
    entries = document.get("keys")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise KeyDocumentError("has no list of keys")
    if len(entries) > _MAX_KEYS:
        raise KeyDocumentError(f"has more than {_MAX_KEYS} keys")
    found: dict[str, list[Key]] = {}
    unusable: dict[str, str] = {}
    for entry in entries:
        kid = entry.get("kid")
        if not isinstance(kid, str) or not 0 < len(kid) <= _MAX_KID:
            continue  # no token could select it
        if passed_over is not None and passed_over(entry):
            unusable[kid] = "it is for another issuer's tokens"
            continue
        try:
            key = _key(kid, entry, uses)
        except _UnsuitableError as error:
            unusable[kid] = str(error)
        else:
            found.setdefault(kid, []).append(key)
    usable = {kid: keys[0] for kid, keys in found.items() if len(keys) == 1}
    unusable |= {kid: "two keys have this kid" for kid, keys in found.items() if len(keys) > 1}
    return KeyDocument(usable, {kid: why for kid, why in unusable.items() if kid not in usable})


def _key(kid: str, entry: Mapping[str, object], uses: Collection[object]) -> Key:
    """The key, or why not: RFC 7517 section 4 (use, key_ops, alg), RFC 7518 section 6 (types)."""
    if entry.get("use") not in uses:
        raise _UnsuitableError(f"not marked use={next(iter(uses))}")
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise _UnsuitableError("key_ops does not say verify")
    if entry.keys() & _SECRET:
        raise _UnsuitableError("the secret half is published")
    public = _public_key(entry)
    algorithms = _algorithms(public)
    if "alg" in entry:
        algorithms &= {str(entry["alg"])}
        if not algorithms:
            raise _UnsuitableError("its alg does not fit its type")
    return Key(kid, algorithms, public)


def _public_key(entry: Mapping[str, object]) -> PublicKey:
    if entry.get("kty") == "AKP":
        try:
            return ml_dsa_key(entry)
        except NoMlDsaKeyError as error:
            raise _UnsuitableError(str(error)) from None
    readers = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk, "OKP": OKPAlgorithm.from_jwk}
    read = readers.get(str(entry.get("kty")))
    if read is None:
        raise _UnsuitableError("its kty is none of RSA, EC, OKP and AKP")
    try:
        public = read(dict(entry))
    except (InvalidKeyError, ValueError, TypeError, KeyError):
        raise _UnsuitableError("its parameters make no key") from None
    except UnsupportedAlgorithm:  # the OpenSSL of a distribution may lack curves, as in FIPS mode
        raise _UnsuitableError("its curve is not one that this OpenSSL has") from None
    match public:
        case rsa.RSAPublicKey():
            return _sound_rsa(public)
        case ec.EllipticCurvePublicKey() if public.curve.name in _CURVES:
            return public
        case ed25519.Ed25519PublicKey():
            return public
        case _:
            raise _UnsuitableError("its curve is not one that tokens are signed with")


def _sound_rsa(public: rsa.RSAPublicKey) -> rsa.RSAPublicKey:
    if not _MIN_RSA_BITS <= public.key_size <= _MAX_RSA_BITS:
        raise _UnsuitableError(f"RSA of {public.key_size} bits; {_MIN_RSA_BITS} to {_MAX_RSA_BITS} are accepted")
    if public.public_numbers().e not in _RSA_EXPONENTS:
        raise _UnsuitableError("its RSA exponent is below 65537 or absurdly large")
    return public


def _algorithms(public: PublicKey) -> frozenset[str]:
    match public:
        case rsa.RSAPublicKey():
            return _RSA_ALGORITHMS
        case ec.EllipticCurvePublicKey():
            return frozenset({_CURVES[public.curve.name]})
        case ed25519.Ed25519PublicKey():
            return frozenset({"EdDSA"})
        case _:
            return frozenset({ml_dsa_algorithm(public)})
