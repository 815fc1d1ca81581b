"""What one issuer's tokens are measured by: its settings, made ready once so that a check costs next to nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Final

from pgbearer.config.settings import ClaimType, Issuer
from pgbearer.tokens.discovery import well_known_urls
from pgbearer.tokens.identity import IdentityTemplate
from pgbearer.tokens.profiles import PROFILES, Profile

__all__ = ["Terms"]

_ACCESS_TOKEN: Final = frozenset({"at+jwt", "application/at+jwt"})
"""RFC 9068 section 2.1; compared without regard to case, as media types are (RFC 7515 section 4.1.9)."""
_ANY_JWT: Final = frozenset({"jwt", "application/jwt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """An issuer's settings as the checks use them. Durations are seconds."""

    name: str
    profile: Profile
    issuer: str
    hba_issuers: frozenset[str]
    """Every way to name this issuer in an HBA line: itself, or one of its well-known URLs."""
    databases: frozenset[str]
    """Databases this issuer is opened to although the HBA line names another."""
    header_types: frozenset[str]
    algorithms: frozenset[str]
    audience: str
    audience_exclusive: bool
    clients: frozenset[str]
    leeway: int
    max_lifetime: int
    not_before: float | None
    """Epoch seconds."""
    identity: IdentityTemplate
    display: str
    token_roles: tuple[str, ...]
    groups: tuple[str, ...]
    organizations: tuple[str, ...]
    certificate_bound: bool
    """Whether a token may be bound to the client's TLS certificate."""
    claims: Mapping[str, ClaimType]

    @classmethod
    def of(cls, name: str, settings: Issuer) -> "Terms":
        """The terms that `settings` set for the issuer called `name`.

        Raises:
            UsageError: if the identity template makes no stable key.
        """
        profile = PROFILES[settings.profile]
        return cls(
            name=name,
            profile=profile,
            issuer=settings.issuer,
            hba_issuers=frozenset({settings.issuer, *well_known_urls(settings.issuer).values()}),
            databases=frozenset(settings.databases),
            header_types=_ACCESS_TOKEN | _ANY_JWT if settings.insecure_header_typ_jwt else _ACCESS_TOKEN,
            algorithms=frozenset(settings.algorithms),
            audience=settings.audience,
            audience_exclusive=settings.audience_exclusive,
            clients=frozenset(settings.clients),
            leeway=settings.leeway,
            max_lifetime=settings.max_lifetime,
            not_before=_epoch(settings),
            identity=IdentityTemplate(settings.identity, settings.claims),
            display=settings.display,
            token_roles=settings.token_roles or profile.token_roles,
            groups=settings.groups,
            organizations=settings.organizations,
            certificate_bound=settings.certificate_bound
            or (settings.critical is not None and settings.critical.certificate_bound),
            claims=dict(settings.claims),
        )


def _epoch(settings: Issuer) -> float | None:
    """`not_before` in epoch seconds; a time without a zone is UTC, wherever the service runs."""
    moment = settings.not_before
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
