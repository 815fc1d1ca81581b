"""ML-DSA (FIPS 204), whose signatures no quantum computer is known to forge, as JOSE has it (RFC 9964).

A key has the type AKP and says its one algorithm itself; nothing else tells what its bytes are. So its ``alg`` decides
how it is read, sizes are exact, and a token's ``alg`` must be the key's (`pgbearer.tokens.keys`). Pure ML-DSA with an
empty context only: neither the pre-hashed forms nor a context have a name in JOSE.
"""

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mldsa

__all__ = ["ML_DSA", "MlDsaKey", "NoMlDsaKeyError", "ml_dsa_algorithm", "ml_dsa_key", "ml_dsa_verifies"]

MlDsaKey = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey


@dataclass(frozen=True, slots=True)
class _Kind:
    """One parameter set. Sizes are bytes, of FIPS 204 table 2."""

    read: Callable[[bytes], MlDsaKey]
    key: int
    signature: int


_KINDS: Final[Mapping[str, _Kind]] = {
    "ML-DSA-44": _Kind(mldsa.MLDSA44PublicKey.from_public_bytes, key=1312, signature=2420),
    "ML-DSA-65": _Kind(mldsa.MLDSA65PublicKey.from_public_bytes, key=1952, signature=3309),
    "ML-DSA-87": _Kind(mldsa.MLDSA87PublicKey.from_public_bytes, key=2592, signature=4627),
}

ML_DSA: Final = tuple(_KINDS)
"""The names of RFC 9964 section 3 (JSON Web Signature and Encryption Algorithms)."""

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")
_TO_STANDARD: Final = str.maketrans("-_", "+/")


class NoMlDsaKeyError(ValueError):
    """A JWK of type AKP that is no key of ML-DSA, or none that can be used here; the message says why."""


def ml_dsa_key(entry: Mapping[str, object]) -> MlDsaKey:
    """The public key of a JWK whose ``kty`` is AKP.

    Raises:
        NoMlDsaKeyError: no ``alg``, one that is not ML-DSA, ``pub`` that is not exactly its size, or an OpenSSL beneath
            that has no ML-DSA.
    """
    algorithm = entry.get("alg")
    kind = _KINDS.get(algorithm) if isinstance(algorithm, str) else None
    if kind is None:
        raise NoMlDsaKeyError("an AKP key whose alg is not ML-DSA-44, ML-DSA-65 or ML-DSA-87")
    raw = _decoded(entry.get("pub"))
    if len(raw) != kind.key:
        raise NoMlDsaKeyError(f"its pub has {len(raw)} bytes; {algorithm} has {kind.key}")
    try:
        return kind.read(raw)
    except UnsupportedAlgorithm:
        raise NoMlDsaKeyError("the OpenSSL that cryptography was built with has no ML-DSA") from None
    except ValueError:
        raise NoMlDsaKeyError("its parameters make no key") from None


def ml_dsa_algorithm(key: MlDsaKey) -> str:
    """The one algorithm that a key is for."""
    match key:
        case mldsa.MLDSA44PublicKey():
            return "ML-DSA-44"
        case mldsa.MLDSA65PublicKey():
            return "ML-DSA-65"
        case _:
            return "ML-DSA-87"


def ml_dsa_verifies(key: MlDsaKey, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is one of `message` by `key` (FIPS 204 algorithm 3)."""
    if len(signature) != _KINDS[ml_dsa_algorithm(key)].signature:
        return False
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _decoded(text: object) -> bytes:
    """Base64url without padding (RFC 7515 section 2), in its one spelling."""
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise NoMlDsaKeyError("its pub is not base64url")
    standard = text.translate(_TO_STANDARD)
    raw = binascii.a2b_base64(standard + "=" * (-len(text) % 4))
    if binascii.b2a_base64(raw, newline=False).rstrip(b"=") != standard.encode():
        raise NoMlDsaKeyError("its pub is not canonical base64url")
    return raw
