"""What a token must be, as a list of small checks: the lists at the end read as the specification.

Each check looks at the token, the issuer's terms and the time (epoch seconds), raises `Denied`, and knows of no other.
"""

from collections.abc import Callable
from typing import Final

from pgbearer.tokens.actors import act_is_of_an_exchange
from pgbearer.tokens.claims import scope_tokens, strings
from pgbearer.tokens.denied import Denied
from pgbearer.tokens.identity import checked_subject
from pgbearer.tokens.kinds import (
    bears_no_other_kinds_mark,
    bound_at_most_to_a_certificate,
    no_one_impersonates_the_subject,
    payload_type_is_access_token,
    session_is_online_and_own,
)
from pgbearer.tokens.spiffe_id import SPIFFE, trust_domain_of
from pgbearer.tokens.terms import Terms
from pgbearer.tokens.unverified import Unverified
from pgbearer.wire import Reason

__all__ = ["CLAIM_CHECKS", "HEADER_CHECKS", "Check", "audience_of"]

Check = Callable[[Unverified, Terms, float], None]

_TEXTS: Final = ("iss", "sub", "azp", "client_id", "jti", "sid", "typ", "scope", "acr")
_TIMES: Final = ("exp", "iat", "nbf", "auth_time")


def issuer_is_exact(token: Unverified, terms: Terms, _now: float) -> None:
    """``iss`` is the issuer's, byte for byte (RFC 9068 section 4; RFC 8725 section 3.8).

    A SPIFFE trust domain is known by ``sub`` instead; ``iss`` counts if its settings name one (JWT-SVID.md section 3).

    Raises:
        Denied: issuer_unknown.
    """
    if terms.iss is not None and token.payload.get("iss") != terms.iss:
        raise Denied(Reason.ISSUER_UNKNOWN, "the token's iss is another")
    if terms.profile.namespace == SPIFFE and trust_domain_of(token.payload.get("sub")) != terms.issuer:
        raise Denied(Reason.ISSUER_UNKNOWN, "the token's sub is of another trust domain")


def header_type_is_access_token(token: Unverified, terms: Terms, _now: float) -> None:
    """The header's ``typ`` is ``at+jwt`` (RFC 9068 section 4; RFC 8725 section 3.11), or JWT if the issuer is let off.

    Profiles whose issuers sign nothing else may have another, or none.

    Raises:
        Denied: token_type.
    """
    if terms.profile.untyped and "typ" not in token.header:
        return
    found = token.header.get("typ")
    if not isinstance(found, str) or found.lower() not in terms.header_types:
        raise Denied(Reason.TOKEN_TYPE, f"header typ is {found!r}")


def algorithm_is_allowed(token: Unverified, terms: Terms, _now: float) -> None:
    """``alg`` is one that the issuer may use (RFC 8725 section 3.1); ``none`` and HMAC can never be.

    Raises:
        Denied: algorithm_not_allowed.
    """
    if not isinstance(token.algorithm, str) or token.algorithm not in terms.algorithms:
        raise Denied(Reason.ALGORITHM_NOT_ALLOWED, f"alg is {token.algorithm!r}")


def required_claims_are_present(token: Unverified, terms: Terms, _now: float) -> None:
    """Every claim that the profile's access tokens have is there (RFC 9068 section 2.2).

    Raises:
        Denied: claim_missing.
    """
    for name in terms.profile.required:
        if name not in token.payload:
            raise Denied(Reason.CLAIM_MISSING, f"claim {name!r}")


def claims_have_their_types(token: Unverified, terms: Terms, _now: float) -> None:
    """Text is text and times are integers (RFC 7519 section 4.1): not a bool, not ``1e9``, not ``"1700000000"``.

    Raises:
        Denied: claim_type.
    """
    for name in (*_TEXTS, terms.profile.client):
        if name in token.payload and not isinstance(token.payload[name], str):
            raise Denied(Reason.CLAIM_TYPE, f"claim {name!r} is not a string")
    for name in _TIMES:
        if name in token.payload and type(token.payload[name]) is not int:
            raise Denied(Reason.CLAIM_TYPE, f"claim {name!r} is not an integer")
    audience_of(token)
    scope_tokens(token.payload, terms.profile.scopes)


def claims_are_the_profiles(token: Unverified, terms: Terms, _now: float) -> None:
    """What only this kind of server says agrees with itself and with the issuer's settings.

    Raises:
        Denied: as the profile's own check says.
    """
    if terms.profile.own is not None:
        terms.profile.own(token.payload, terms.issuer)


def not_expired(token: Unverified, terms: Terms, now: float) -> None:
    """``exp`` is to come, give or take the leeway (RFC 7519 section 4.1.4: on or after it means no).

    Raises:
        Denied: token_expired.
    """
    expires = _seconds(token, "exp")
    if now >= expires + terms.leeway:
        raise Denied(Reason.TOKEN_EXPIRED, f"exp {expires}, now {now:.0f}")


def already_valid(token: Unverified, terms: Terms, now: float) -> None:
    """``iat`` and ``nbf`` are past, give or take the leeway (RFC 7519 sections 4.1.5 and 4.1.6).

    So is ``auth_time``: an authentication still to come would be recent for ever.

    Raises:
        Denied: token_not_yet_valid.
    """
    for name in ("iat", "nbf", "auth_time"):
        if name in token.payload and _seconds(token, name) > now + terms.leeway:
            raise Denied(Reason.TOKEN_NOT_YET_VALID, f"{name} {token.payload[name]}, now {now:.0f}")


def lifetime_is_bounded(token: Unverified, terms: Terms, _now: float) -> None:
    """``exp - iat`` is positive and at most ``max_lifetime``: offline verification cannot see a revocation.

    Raises:
        Denied: lifetime_too_long.
    """
    lifetime = _seconds(token, "exp") - _seconds(token, "iat")
    if not 0 < lifetime <= terms.max_lifetime:
        raise Denied(Reason.LIFETIME_TOO_LONG, f"{lifetime} s of at most {terms.max_lifetime} s")


def issued_after_not_before(token: Unverified, terms: Terms, _now: float) -> None:
    """``iat`` is not before the issuer's ``not_before`` in pgbearer.yaml: that date revokes all that is older.

    Raises:
        Denied: token_revoked.
    """
    if terms.not_before is not None and _seconds(token, "iat") < terms.not_before:
        raise Denied(Reason.TOKEN_REVOKED, f"iat {token.payload['iat']} is before not_before")


def audience_is_ours(token: Unverified, terms: Terms, _now: float) -> None:
    """The token was minted for this database service and nobody else.

    RFC 9068 section 4 asks for our audience; exclusivity is ours: a token good at two places can be replayed by one at
    the other.

    Raises:
        Denied: audience_mismatch.
    """
    audience = audience_of(token)
    if terms.audience not in audience:
        raise Denied(Reason.AUDIENCE_MISMATCH, f"aud {sorted(audience)} lacks {terms.audience!r}")
    if terms.audience_exclusive and len(audience) > 1:
        raise Denied(Reason.AUDIENCE_MISMATCH, f"aud {sorted(audience)} names others as well")
    if audience & terms.foreign_audiences:
        raise Denied(Reason.AUDIENCE_MISMATCH, f"aud {sorted(audience)} names the API server as well")


def client_is_allowed(token: Unverified, terms: Terms, _now: float) -> None:
    """The client that got the token is on the list, or an agent's; ``azp`` and ``client_id``, if both are there, agree.

    Raises:
        Denied: client_not_allowed.
    """
    client = token.payload.get(terms.profile.client)
    if token.payload.get("azp", client) != token.payload.get("client_id", client):
        raise Denied(Reason.CLIENT_NOT_ALLOWED, "azp and client_id name two clients")
    if terms.agents.of_client(client) is not None:
        return
    if client not in terms.clients and (terms.clients or terms.profile.clients_required):
        raise Denied(Reason.CLIENT_NOT_ALLOWED, f"client {client!r}")


def subject_is_safe(token: Unverified, terms: Terms, _now: float) -> None:
    """``sub`` can stand in an identity and in a log; see `checked_subject`.

    Raises:
        Denied: subject_invalid.
    """
    checked_subject(str(token.payload["sub"]), terms.profile.namespace)


def whoever_acts_is_known(token: Unverified, terms: Terms, _now: float) -> None:
    """Whoever acts for the subject is an agent of the issuer; see `pgbearer.tokens.actors`.

    Raises:
        Denied: actor_not_allowed.
    """
    actor = terms.agents.actor_of(token, terms.profile.client)
    if actor is not None and terms.profile.session_in_jti:
        act_is_of_an_exchange(token)


def audience_of(token: Unverified) -> frozenset[str]:
    """``aud``, a string or a list of them (RFC 7519 section 4.1.3), as a set.

    Raises:
        Denied: claim_type.
    """
    value = token.payload["aud"]
    return frozenset({value} if isinstance(value, str) else strings(value, "aud"))


def _seconds(token: Unverified, name: str) -> int:
    value = token.payload[name]
    assert isinstance(value, int)  # noqa: S101 - claims_have_their_types stands before every check of time
    return value


HEADER_CHECKS: Final[tuple[Check, ...]] = (
    issuer_is_exact,
    header_type_is_access_token,
    algorithm_is_allowed,
)
"""Before any key is looked up: they cost nothing, and what they deny needs no signature to be wrong."""

CLAIM_CHECKS: Final[tuple[Check, ...]] = (
    required_claims_are_present,
    claims_have_their_types,
    claims_are_the_profiles,
    payload_type_is_access_token,
    bears_no_other_kinds_mark,
    session_is_online_and_own,
    not_expired,
    already_valid,
    lifetime_is_bounded,
    issued_after_not_before,
    audience_is_ours,
    client_is_allowed,
    subject_is_safe,
    bound_at_most_to_a_certificate,
    no_one_impersonates_the_subject,
    whoever_acts_is_known,
)
"""After the signature has verified; the first two are what the others rely on. Who a workload is, is checked where it
is read from the payload: `Profile.workload`."""
