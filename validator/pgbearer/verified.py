"""What a verified token is: the one value that flows from tokens to policy, audit and deciders.

It lives below `tokens` and `policy` because both speak of it and neither may import the other. Only
`pgbearer.tokens` makes one, after every check has passed; it holds no part of the token itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Actor", "ClaimValue", "Verified"]

ClaimValue = str | int | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts for the subject now: the outermost ``act`` (RFC 8693 section 4.1), or a client that is an agent."""

    name: str
    """Under ``issuers.*.agents``: the only thing about it that rules go by."""
    subject: str | None = None
    """Its own ``sub``, from ``act``; None if only the client tells."""
    prior: tuple[str, ...] = ()
    """Who acted before it, the latest first: ``act`` within ``act``. History, and no part of any decision (the same
    section)."""
    carries: frozenset[str] = frozenset()
    """What of the person its tokens are known to say in full (``issuers.*.agents.*.carries``)."""

    @property
    def chain(self) -> tuple[str, ...]:
        """All who act or acted, the present one first."""
        return (self.name, *self.prior)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Claims of a token whose signature and every check passed. Times are seconds since the epoch (UTC)."""

    issuer: str
    """Name of the issuer in pgbearer.yaml, e.g. ``corp``; `issuer_url` is the token's ``iss``."""
    issuer_url: str
    subject: str
    identity: str
    """The stable key of who this is, rendered from the issuer's ``identity`` template: PostgreSQL's authn_id."""
    display: str | None
    """For people's eyes only (``preferred_username``); nothing decides by it."""
    client: str | None
    """``azp``, or ``client_id`` (RFC 9068 section 2.2) for profile rfc9068."""
    audience: tuple[str, ...]
    scopes: frozenset[str]
    token_roles: frozenset[str]
    groups: frozenset[str]
    organizations: frozenset[str] = frozenset()
    claims: Mapping[str, ClaimValue] = field(default_factory=dict)
    """Only the claims that the issuer declares, each of its declared type; one that the token lacks is absent."""
    issued_at: int
    expires_at: int
    token_id: str | None
    session_id: str | None
    key_id: str
    auth_time: int | None = None
    """When the person authenticated (OpenID Connect Core 1.0 section 2), if the token says so."""
    acr: str | None = None
    """How (the same section), if the token says so; also there if the issuer does not declare it among its claims."""
    actor: Actor | None = None
    """Who acts for the subject; None: nobody, it is the subject's own login."""
    certificate: str | None = None
    """SHA-256 (hex) of the TLS client certificate that the token is bound to (RFC 8705 section 3.1); None: to none."""
    token_ref: str
    """First 12 hex digits of SHA-256(token): names a token in records without being one."""
