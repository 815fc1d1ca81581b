"""What a token says of itself, read without verifying anything: for hints to its holder, never for a decision to allow.

An access token is opaque to its client (RFC 6749 section 1.4); where it happens to be a JWT, a look inside can turn
"authentication failed" into "this token is for another database". `pgbearer.tokens` is where tokens are verified.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from pgbearer.client.secret import Secret
from pgbearer.client.token import AccessToken

__all__ = [
    "audience_in",
    "claims_in",
    "expiry_in",
    "groups_in",
    "header_in",
    "issuer_in",
    "moment_in",
    "roles_in",
    "user_in",
]


_LATEST: Final = 1e11
"""Seconds since the epoch; what is later is no time."""


def claims_in(token: AccessToken | Secret) -> Mapping[str, Any]:
    """The unverified claims of a JWT (RFC 7519), or nothing if `token` is not one."""
    return _segment(token, 1)


def header_in(token: AccessToken | Secret) -> Mapping[str, Any]:
    """The header of a JWT (RFC 7515 section 4), or nothing if `token` is not one."""
    return _segment(token, 0)


def issuer_in(token: AccessToken) -> str | None:
    """The unverified ``iss``, or None."""
    issuer = claims_in(token).get("iss")
    return issuer if isinstance(issuer, str) else None


def audience_in(token: AccessToken) -> tuple[str, ...]:
    """The unverified ``aud`` (RFC 7519 section 4.1.3: a string or an array of them); empty if there is none."""
    audience = claims_in(token).get("aud", [])
    return _strings([audience] if isinstance(audience, str) else audience)


def expiry_in(token: AccessToken) -> float | None:
    """The unverified ``exp`` (RFC 7519 section 4.1.4) in seconds since the epoch, or None."""
    return moment_in(claims_in(token), "exp")


def moment_in(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519 section 2) among `claims`, in seconds since the epoch, or None."""
    moment = claims.get(name)
    if isinstance(moment, bool) or not isinstance(moment, int | float) or not 0 <= moment < _LATEST:
        return None
    return float(moment)


def user_in(token: AccessToken) -> str | None:
    """The unverified ``preferred_username``, or ``sub``; None if neither is text."""
    claims = claims_in(token)
    return next(
        (name for name in map(claims.get, ("preferred_username", "sub")) if name and isinstance(name, str)), None
    )


def roles_in(token: AccessToken) -> tuple[str, ...]:
    """The unverified roles, sorted: of Keycloak's realm and clients, and ``roles`` of RFC 9068 section 2.2.3.1.

    Which of these a database server looks at, its settings say.
    """
    claims = claims_in(token)
    clients = claims.get("resource_access")
    holders = [claims, claims.get("realm_access"), *(clients.values() if isinstance(clients, dict) else ())]
    return tuple(
        sorted({name for holder in holders if isinstance(holder, dict) for name in _strings(holder.get("roles"))})
    )


def groups_in(token: AccessToken) -> tuple[str, ...]:
    """The unverified ``groups`` (RFC 9068 section 2.2.3.1); empty if there are none."""
    return _strings(claims_in(token).get("groups"))


def _strings(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _segment(token: AccessToken | Secret, number: int) -> Mapping[str, Any]:
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return {}
    try:
        read = json.loads(base64.urlsafe_b64decode(parts[number] + "=" * (-len(parts[number]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
