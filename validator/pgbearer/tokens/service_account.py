"""Service accounts of Kubernetes: whose a token is, and what it is bound to.

Source: pkg/serviceaccount/claims.go and jwt.go of Kubernetes 1.36; names as in its API conventions (RFC 1123).
"""

import re
from collections.abc import Mapping
from typing import Final

from pgbearer.tokens.denied import Denied
from pgbearer.wire import Reason

__all__ = ["BOUND", "service_account_claims"]

_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_NAME: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_MOST_NAME: Final = 253
_UID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
"""UUIDs, but types.UID promises only that they are opaque."""

BOUND: Final = ("pod", "node", "secret")
"""What a token may be bound to: it holds only as long as that very object is there (TokenRequest's boundObjectRef)."""


def service_account_claims(payload: Mapping[str, object]) -> dict[str, str]:
    """What ``kubernetes.io`` says, flat, under the names by which an issuer's ``claims`` may declare it.

    ``namespace``, ``service_account`` and ``service_account_uid`` are always there; ``pod``, ``pod_uid``, ``node``,
    ``node_uid``, ``secret`` and ``secret_uid`` as far as the token is bound.

    Args:
        payload: verified, with a text ``sub``.

    Raises:
        Denied: claim_missing, claim_type; subject_invalid, if ``sub`` is not that service account.
    """
    private = _object(payload, "kubernetes.io")
    namespace = private.get("namespace")
    if not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace):
        raise _wrong("namespace", "a namespace")
    claims = {"namespace": namespace, **_reference(private, "serviceaccount", "service_account")}
    if payload["sub"] != f"system:serviceaccount:{namespace}:{claims['service_account']}":
        raise Denied(Reason.SUBJECT_INVALID, f"sub {payload['sub']!r} is not the service account in kubernetes.io")
    for kind in BOUND:
        if kind in private:
            claims |= _reference(private, kind, kind)
    return claims


def _reference(private: Mapping[str, object], key: str, name: str) -> dict[str, str]:
    """The name and uid of an object, under our names."""
    found = _object(private, key, "kubernetes.io.")
    match found:
        case {"name": str(named), "uid": str(uid)} if len(named) <= _MOST_NAME and _NAME.fullmatch(named):
            if _UID.fullmatch(uid):
                return {name: named, f"{name}_uid": uid}
    raise _wrong(key, "an object with a name and a uid")


def _object(holder: Mapping[str, object], key: str, where: str = "") -> Mapping[str, object]:
    if key not in holder:
        raise Denied(Reason.CLAIM_MISSING, f"claim '{where}{key}'")
    found = holder[key]
    if not isinstance(found, Mapping):
        raise Denied(Reason.CLAIM_TYPE, f"claim '{where}{key}' is not an object")
    return found


def _wrong(key: str, expected: str) -> Denied:
    return Denied(Reason.CLAIM_TYPE, f"claim 'kubernetes.io.{key}' is not {expected}")
