"""What one issuer's tokens are measured by: its settings, made ready once so that a check costs next to nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date

from pgbearer.config.settings import ClaimType, Issuer
from pgbearer.config.workloads import api_audiences
from pgbearer.tokens.actors import Agents
from pgbearer.tokens.discovery import well_known_urls
from pgbearer.tokens.identity import IdentityTemplate
from pgbearer.tokens.profiles import ANY_JWT, Profile, profile_of

__all__ = ["Terms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """An issuer's settings as the checks use them. Durations are seconds."""

    name: str
    profile: Profile
    issuer: str
    iss: str | None
    """What ``iss`` must be: the issuer itself; for a SPIFFE trust domain what its settings say, None: it may be any."""
    hba_issuers: frozenset[str]
    """Every way to name this issuer in an HBA line: itself, or one of its well-known URLs."""
    behind: Mapping[str, frozenset[str]]
    """Databases that this issuer is opened to, by the name of the issuer that the HBA line names instead."""
    implied_scopes: frozenset[str]
    """Scopes of an HBA line that its tokens need not have."""
    replaces: str | None
    """The name of the issuer that moves to this one."""
    until: date | None
    """The last day (UTC) for that one's tokens."""
    header_types: frozenset[str]
    algorithms: frozenset[str]
    audience: str
    audience_exclusive: bool
    foreign_audiences: frozenset[str]
    """Audiences that no token may have beside ours: those of Kubernetes' API server."""
    clients: frozenset[str]
    agents: Agents
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
        profile = profile_of(settings.profile, settings.issuer)
        iss = settings.spiffe.iss if settings.spiffe is not None else settings.issuer
        algorithms = frozenset(settings.algorithms)
        return cls(
            name=name,
            profile=profile,
            issuer=settings.issuer,
            iss=iss,
            hba_issuers=frozenset({iss, *well_known_urls(iss).values()} if iss else ()),
            behind={other: frozenset(databases) for other, databases in settings.behind.items()},
            implied_scopes=frozenset(settings.implied_scopes),
            replaces=settings.replaces,
            until=settings.until,
            header_types=profile.header_types | (ANY_JWT if settings.insecure_header_typ_jwt else frozenset()),
            algorithms=algorithms if profile.algorithms is None else algorithms & profile.algorithms,
            audience=settings.audience,
            audience_exclusive=settings.audience_exclusive,
            foreign_audiences=_foreign_audiences(settings),
            clients=frozenset(settings.clients),
            agents=Agents(settings.agents),
            leeway=settings.leeway,
            max_lifetime=settings.max_lifetime,
            not_before=_epoch(settings),
            identity=IdentityTemplate(settings.identity, settings.claims, profile.namespace),
            display=_display(settings, profile),
            token_roles=settings.token_roles or profile.token_roles,
            groups=settings.groups,
            organizations=settings.organizations,
            certificate_bound=settings.certificate_bound
            or (settings.critical is not None and settings.critical.certificate_bound),
            claims=dict(settings.claims),
        )


def _foreign_audiences(settings: Issuer) -> frozenset[str]:
    return api_audiences(settings.issuer, settings.kubernetes) if settings.profile == "kubernetes" else frozenset()


def _display(settings: Issuer, profile: Profile) -> str:
    """Workloads have no name beside their subject."""
    return settings.display if profile.workload is None or "display" in settings.model_fields_set else "sub"


def _epoch(settings: Issuer) -> float | None:
    """`not_before` in epoch seconds; a time without a zone is UTC, wherever the service runs."""
    moment = settings.not_before
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
