"""What an introspection answer (RFC 7662 section 2.2) must say, for a token that verified to be good. No I/O."""

from collections.abc import Mapping

from pgbearer.http import Reply
from pgbearer.tokens.denied import Denied
from pgbearer.tokens.strict_json import NotStrictJsonError, parse_object
from pgbearer.verified import Verified
from pgbearer.wire import Reason

__all__ = ["read_introspection"]


def read_introspection(reply: Reply, verified: Verified) -> None:
    """Nothing, if the issuer says that the token is active, and speaks of the very token that was verified.

    RFC 7662 section 2.2. Every member but ``active`` is optional there; here ``sub`` and ``exp`` must be given, and
    whatever is given must be what the token says: an answer about another token says nothing about this one.

    Raises:
        Denied: token_inactive, issuer_unavailable, introspection_refused or introspection_invalid.
    """
    answer = _object_in(reply)
    active = answer.get("active")
    if active is False:
        raise Denied(Reason.TOKEN_INACTIVE, "introspection: the issuer does not take it any more")
    if active is not True:
        raise _invalid(f"active is {active!r}, neither true nor false")
    for name in ("sub", "exp"):
        if name not in answer:
            raise _invalid(f"no {name!r}: of which token it speaks cannot be told")
    for name, meant in _expected(verified).items():
        if name in answer and not _is(answer[name], meant):
            raise _invalid(f"{name!r} is another than the token's")
    audience = answer.get("aud", list(verified.audience))
    if (sorted({audience}) if isinstance(audience, str) else _sorted(audience)) != sorted(verified.audience):
        raise _invalid("'aud' is another than the token's")
    kind = answer.get("token_type", "Bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise _invalid("not a bearer token")


def _expected(verified: Verified) -> dict[str, object]:
    """What members must be if they are there."""
    expected: dict[str, object] = {
        "iss": verified.issuer_url,
        "sub": verified.subject,
        "exp": verified.expires_at,
        "iat": verified.issued_at,
    }
    optional = {"jti": verified.token_id, "client_id": verified.client, "azp": verified.client}
    return expected | {name: value for name, value in optional.items() if value is not None}


def _is(value: object, meant: object) -> bool:
    """Equal and of one type: to Python 1 is True and 1.0."""
    return type(value) is type(meant) and value == meant


def _sorted(audience: object) -> list[str] | None:
    if isinstance(audience, list) and all(isinstance(one, str) for one in audience):
        return sorted(set(audience))
    return None


def _object_in(reply: Reply) -> Mapping[str, object]:
    """The JSON object that was answered; of 4xx only "too many" passes by itself, the rest is ours to mend."""
    if reply.status == 429 or reply.status >= 500:
        raise Denied(Reason.ISSUER_UNAVAILABLE, f"introspection was answered {reply.status}")
    if reply.status >= 400:
        raise Denied(Reason.INTROSPECTION_REFUSED, f"introspection was answered {reply.status}")
    if reply.status != 200 or not reply.is_json:
        raise _invalid(f"answered {reply.status}, {reply.content_type or 'without a type'}"[:100])
    try:
        return parse_object(reply.body)
    except NotStrictJsonError as error:
        raise _invalid(f"an answer that is {error}") from None


def _invalid(why: str) -> Denied:
    return Denied(Reason.INTROSPECTION_INVALID, f"introspection: {why}")
