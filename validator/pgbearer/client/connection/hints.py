"""What may be wrong with a token that a server refused, in sentences: values in, sentences out.

The server tells its clients no reason, so that nobody learns its rules by trying. All that is said here stands in the
token itself, unverified, or is plain from the clock and from what the server asked for.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from pgbearer.client.peek import audience_in, claims_in, expiry_in, groups_in, header_in, issuer_in, moment_in, roles_in
from pgbearer.client.plain import plain
from pgbearer.client.token import AccessToken

__all__ = ["hints"]

_LEEWAY: Final = 10.0  # seconds that servers forgive a clock
_SKEW: Final = 30.0  # seconds between two clocks that are worth a word: an answer may take a few
_USUAL_LIFE: Final = 900  # seconds: issuers.*.max_lifetime, if nothing else is set
_MOST_NAMES: Final = 10
_NAME_LENGTH: Final = 80
_KEYCLOAKS_OWN: Final = frozenset({"offline_access", "uma_authorization"})
_KEYCLOAKS_KIND: Final = "Bearer"
_OTHER_KINDS: Final = {"ID": "an ID token", "Refresh": "a refresh token", "Offline": "an offline token"}


def hints(
    token: AccessToken,
    *,
    server_scope: str | None,
    now: float,
    role: str | None = None,
    server_issuer: str | None = None,
) -> Iterator[str]:
    """Sentences about what may be wrong with a refused `token`, the surest first; the last names its `token_ref`.

    Args:
        token: what the server refused.
        server_scope: the scopes that the server asks for, space-separated; None if not known.
        now: seconds since the epoch.
        role: the database role that was asked for; None if not known.
        server_issuer: the issuer whose tokens the server asks for; None if not known.

    Pure; safe in threads and tasks. No sentence holds the token, or anything of it that a terminal would obey.
    """
    claims = claims_in(token)
    yield from _kind(token, claims)
    yield from _clock(token, claims, now)
    yield from _time(token, claims, now)
    yield from _issuer(token, server_issuer)
    yield from _scope(token, claims, server_scope)
    yield from _audience(token, claims)
    yield from _role(token, claims, role)
    yield (
        "PostgreSQL gives no reason, nor does it tell a refusal from a service of its own that is down. Whoever runs"
        f" the server finds it in its log under token_ref {token.ref}, or with:"
        f" pgbearer explain --token-ref {token.ref}"
    )


def _kind(token: AccessToken, claims: Mapping[str, Any]) -> Iterator[str]:
    """Keycloak's ``typ`` in the payload, ``typ`` in the header (RFC 9068 section 2.1), ``cnf`` of RFC 7800."""
    kind = claims.get("typ")
    if isinstance(kind, str) and kind in _OTHER_KINDS:
        yield f"This is {_OTHER_KINDS[kind]}; a database takes an access token."
    elif kind == _KEYCLOAKS_KIND and str(header_in(token).get("typ")).lower() != "at+jwt":
        yield "The token's header does not say at+jwt: its client at Keycloak lacks access.token.header.type.rfc9068."
    if "cnf" in claims:
        yield "The token is bound to a key or certificate (cnf), which this connection does not prove to have."


def _clock(token: AccessToken, claims: Mapping[str, Any], now: float) -> Iterator[str]:
    """What the issuer's clock was when it made the token, as seen from ours.

    `AccessToken.expires_at` is our clock's, ``exp`` the issuer's: both mean the same moment.
    """
    end = expiry_in(token)
    begin = max((moment for name in ("iat", "nbf") if (moment := moment_in(claims, name)) is not None), default=None)
    ahead = 0.0 if end is None or token.expires_at is None else end - token.expires_at
    if begin is not None and begin - now > _LEEWAY:
        ahead = max(ahead, begin - now)
    if ahead > _SKEW or (begin is not None and begin - now > _LEEWAY):
        yield f"This machine's clock is {_span(ahead)} behind the issuer's: is it right, and is the server's?"
    elif ahead < -_SKEW:
        yield f"This machine's clock is {_span(-ahead)} ahead of the issuer's: is it right, and is the server's?"


def _time(token: AccessToken, claims: Mapping[str, Any], now: float) -> Iterator[str]:
    said = expiry_in(token)
    end = token.expires_at if said is None else said
    begin = moment_in(claims, "iat")
    if end is not None and now >= end:
        yield f"The token expired {_span(now - end)} ago; log in again."
    elif end is not None and begin is not None and end - begin > _USUAL_LIFE:
        yield f"The token is good for {_span(end - begin)}, and servers usually take at most {_span(_USUAL_LIFE)}."


def _issuer(token: AccessToken, server_issuer: str | None) -> Iterator[str]:
    said = issuer_in(token)
    if said is not None and server_issuer is not None and said != server_issuer:
        yield (
            f"The token is of {plain(said)}, and the server asks for one of {plain(server_issuer)}; it may take yours"
            " as well, if its settings say so (issuers.*.behind)."
        )


def _scope(token: AccessToken, claims: Mapping[str, Any], server_scope: str | None) -> Iterator[str]:
    granted = claims.get("scope", token.scope)
    missing = sorted(set((server_scope or "").split()) - set(granted.split())) if isinstance(granted, str) else []
    if missing:
        yield f"The server asks for the scope {plain(' '.join(missing))}, which this token lacks; log in with --scope."


def _audience(token: AccessToken, claims: Mapping[str, Any]) -> Iterator[str]:
    """``aud`` and ``azp`` of OpenID Connect Core section 2, or ``client_id`` of RFC 9068 section 2.2."""
    audience = audience_in(token)
    client = claims.get("azp", claims.get("client_id"))
    by = f", and {plain(client, limit=_NAME_LENGTH)} got it" if isinstance(client, str) else ""
    if len(audience) > 1:
        yield f"The token is for {_listed(audience)}{by}; a server usually takes one that is for itself alone."
    elif audience:
        yield f"The token is for {_listed(audience)}{by}; is that this server, and does it take that client?"
    elif claims:
        yield "The token names nobody that it is for (aud), and a server takes one that is for itself."


def _role(token: AccessToken, claims: Mapping[str, Any], role: str | None) -> Iterator[str]:
    """Which roles a person has is no secret to them; what they are good for only the server's rules say."""
    roles = [name for name in roles_in(token) if name not in _KEYCLOAKS_OWN and not name.startswith("default-roles-")]
    groups = groups_in(token)
    if not claims or role in roles:
        return
    person = claims.get("preferred_username")
    whose = f"{plain(person, limit=_NAME_LENGTH)}'s token" if isinstance(person, str) else "The token"
    has = " and ".join(
        f"the {what} {_listed(names)}" for what, names in (("roles", roles), ("groups", groups)) if names
    )
    wanted = f"; you asked for {plain(role, limit=_NAME_LENGTH)}" if role is not None else ""
    yield f"{whose} has {has or 'no roles and no groups'}{wanted}. The server decides what that gives."


def _listed(names: Iterable[str]) -> str:
    """The first few names, each cut short and made safe to show."""
    every = list(names)
    shown = ", ".join(plain(name, limit=_NAME_LENGTH) for name in islice(every, _MOST_NAMES))
    return f"{shown} and {len(every) - _MOST_NAMES} more" if len(every) > _MOST_NAMES else shown


def _span(seconds: float) -> str:
    """A length of time as a person would say it."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
