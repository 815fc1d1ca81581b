"""Does this key's signature stand under this token? Nothing else is asked here."""

from typing import Any, Final

from jwt.algorithms import Algorithm, get_default_algorithms

from pgbearer.tokens.denied import Denied
from pgbearer.tokens.keys import Key
from pgbearer.tokens.post_quantum import ML_DSA, ml_dsa_verifies
from pgbearer.tokens.unverified import Unverified
from pgbearer.wire import Reason

__all__ = ["signature_is_the_keys"]

_ASYMMETRIC: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
# PyJWT's: RSASSA-PSS with a salt as long as the hash (RFC 7518 section 3.5), ECDSA as raw r || s of exactly the curve's
# length (section 3.4). HMAC and "none" are not in this table, so no header can ask for them.
_ALGORITHMS: Final[dict[str, Algorithm]] = {name: get_default_algorithms()[name] for name in _ASYMMETRIC}


def signature_is_the_keys(token: Unverified, key: Key) -> None:
    """The token was signed with `key`, by an algorithm that the key is for (RFC 7515, 5.2; RFC 8725, 3.1).

    Raises:
        Denied: algorithm_not_allowed or signature_invalid.
    """
    name = token.algorithm
    if not isinstance(name, str) or name not in key.algorithms:
        raise Denied(Reason.ALGORITHM_NOT_ALLOWED, f"the key is for {', '.join(sorted(key.algorithms))}")
    public: Any = key.public  # each algorithm's verify() is typed for its own key; `algorithms` has settled that
    if not _verifies(name, public, token):
        raise Denied(Reason.SIGNATURE_INVALID, "does not verify with the issuer's key")


def _verifies(algorithm: str, public: Any, token: Unverified) -> bool:
    if algorithm in ML_DSA:
        return ml_dsa_verifies(public, token.signing_input, token.signature)
    return _ALGORITHMS[algorithm].verify(token.signing_input, public, token.signature)
