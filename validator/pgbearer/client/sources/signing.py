"""A signature with a client's private key. The one module of the client that imports PyJWT and cryptography."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pgbearer.errors import UsageError

__all__ = ["signed"]

_CURVES: Final[Mapping[type[ec.EllipticCurve], str]] = {
    ec.SECP256R1: "ES256",
    ec.SECP384R1: "ES384",
    ec.SECP521R1: "ES512",
}
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_LEAST_BITS: Final = 2048  # RFC 7518 section 3.3


def signed(claims: Mapping[str, Any], file: Path, pem: bytes, *, key_id: str | None, algorithm: str | None) -> str:
    """`claims` as a JWT.

    Args:
        claims: what is stated.
        file: where the key is from, for messages.
        pem: the private key.
        key_id: ``kid`` of the header, or None.
        algorithm: of those that fit the key, or None for its usual one.

    Raises:
        UsageError: no usable key, or not one for `algorithm`. Nothing of the key is in the message.
    """
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it wants a password
        raise UsageError(
            "holds no private key that can be used", where=str(file), hint="Give a PEM file without a password."
        ) from None
    finally:
        del pem  # a traceback that shows locals would show it
    fitting = _algorithms(key)
    if not fitting or (algorithm or fitting[0]) not in fitting:
        what = f"a key for {' or '.join(fitting)}, not {algorithm}" if fitting else "a key that is too weak or unknown"
        raise UsageError(f"holds {what}", where=str(file), hint="Use RSA of 2048 bits or more, P-256 or Ed25519.")
    usable: Any = key
    return jwt.encode(dict(claims), usable, algorithm or fitting[0], headers={"kid": key_id} if key_id else None)


def _algorithms(key: object) -> tuple[str, ...]:
    """What the key can sign with, its usual one first."""
    match key:
        case rsa.RSAPrivateKey() if key.key_size >= _LEAST_BITS:
            return _RSA
        case ec.EllipticCurvePrivateKey():
            return tuple(name for curve, name in _CURVES.items() if isinstance(key.curve, curve))
        case ed25519.Ed25519PrivateKey() | ed448.Ed448PrivateKey():
            return ("EdDSA",)
        case _:
            return ()
