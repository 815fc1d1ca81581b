"""The critical tier: what a login must be beyond what rules ask, if a rule that allows it says ``tier: critical``.

Each demand is a small function; `DEMANDS` is the order they are asked in. What is not known is not met.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pgbearer.config import Issuer
from pgbearer.config.workloads import WORKLOADS
from pgbearer.policy.fields import Asked
from pgbearer.wire import Reason

__all__ = ["DEMANDS", "WORKLOAD_DEMANDS", "CriticalTerms", "Unmet", "unmet_demand"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalTerms:
    """What one issuer's tokens must be for the critical tier (``issuers.NAME.critical``). Durations are seconds."""

    clients: frozenset[str]
    acr: frozenset[str]
    """Empty: any, but there must be one."""
    max_age: int
    max_auth_age: int
    max_stale: int
    certificate_bound: bool
    workload: bool = False
    """Its tokens are of workloads: nobody logged in to get them, through no client."""

    @classmethod
    def of(cls, issuer: Issuer) -> "CriticalTerms | None":
        """The terms of an issuer, None if it has no critical tier."""
        critical = issuer.critical
        if critical is None:
            return None
        return cls(
            clients=frozenset(critical.clients),
            acr=frozenset(critical.acr),
            max_age=critical.max_age,
            max_auth_age=critical.max_auth_age,
            max_stale=issuer.keys.max_stale_critical,
            certificate_bound=critical.certificate_bound,
            workload=issuer.profile in WORKLOADS,
        )


@dataclass(frozen=True, slots=True)
class Unmet:
    """A demand that is not met; `detail` is safe to log."""

    reason: Reason
    detail: str


def unmet_demand(terms: CriticalTerms | None, asked: Asked) -> Unmet | None:
    """The first demand of the critical tier that the login does not meet, None if it meets all."""
    if terms is None:
        return Unmet(Reason.CLIENT_NOT_CRITICAL, f"issuer {asked.verified.issuer!r} has no critical tier")
    demands = WORKLOAD_DEMANDS if terms.workload else DEMANDS
    return next((unmet for demand in demands if (unmet := demand(terms, asked))), None)


def keys_are_fresh(terms: CriticalTerms, asked: Asked) -> Unmet | None:
    """The issuer's keys were fetched within ``keys.max_stale_critical``: no answer from what was last known."""
    if asked.keys_age is None:
        return Unmet(Reason.KEYS_STALE, "it is not known how old the issuer's keys are")
    if asked.keys_age > terms.max_stale:
        return Unmet(Reason.KEYS_STALE, f"fetched {asked.keys_age:.0f} s ago, critical: at most {terms.max_stale} s")
    return None


def client_is_for_critical(terms: CriticalTerms, asked: Asked) -> Unmet | None:
    """The client that got the token is one of ``critical.clients``, so never that of the device flow."""
    if asked.verified.client not in terms.clients:
        return Unmet(Reason.CLIENT_NOT_CRITICAL, f"client {asked.verified.client!r}")
    return None


def token_is_young(terms: CriticalTerms, asked: Asked) -> Unmet | None:
    """``iat`` is at most ``critical.max_age`` ago, however long the token is valid for."""
    age = asked.now - asked.verified.issued_at
    return Unmet(Reason.TOKEN_TOO_OLD, _ago("issued", age, terms.max_age)) if age > terms.max_age else None


def authentication_is_recent(terms: CriticalTerms, asked: Asked) -> Unmet | None:
    """``auth_time`` (OpenID Connect Core 1.0 section 2) is there, and at most ``critical.max_auth_age`` ago."""
    if asked.verified.auth_time is None:
        return Unmet(Reason.AUTHENTICATION_UNKNOWN, "claim 'auth_time'")
    age = asked.now - asked.verified.auth_time
    return (
        Unmet(Reason.AUTHENTICATION_TOO_OLD, _ago("made", age, terms.max_auth_age))
        if age > terms.max_auth_age
        else None
    )


def authentication_is_strong(terms: CriticalTerms, asked: Asked) -> Unmet | None:
    """``acr`` (OpenID Connect Core 1.0 section 2) is there, and one of ``critical.acr`` if those are named."""
    acr = asked.verified.acr
    if not acr:
        return Unmet(Reason.AUTHENTICATION_UNKNOWN, "claim 'acr'")
    return Unmet(Reason.AUTHENTICATION_TOO_WEAK, f"acr {acr!r}") if terms.acr and acr not in terms.acr else None


def holder_is_proven(terms: CriticalTerms, asked: Asked) -> Unmet | None:
    """With ``critical.certificate_bound``: the token is bound to the certificate that PostgreSQL verified (RFC 8705).

    `pgbearer.tokens` has refused a token bound to another one; asking again costs nothing.
    """
    if not terms.certificate_bound:
        return None
    tls = asked.request.client.tls
    if asked.verified.certificate is None or tls is None or tls.client_cert_sha256 != asked.verified.certificate:
        return Unmet(Reason.CERTIFICATE_REQUIRED, "the token is not bound to the client's certificate")
    return None


DEMANDS: Final[tuple[Callable[[CriticalTerms, Asked], Unmet | None], ...]] = (
    keys_are_fresh,
    client_is_for_critical,
    token_is_young,
    authentication_is_recent,
    authentication_is_strong,
    holder_is_proven,
)
WORKLOAD_DEMANDS: Final = (keys_are_fresh, token_is_young, holder_is_proven)
"""That the token still holds is asked of its issuer, not of the policy: `pgbearer.config` demands that it is."""


def _ago(what: str, seconds: int, most: int) -> str:
    return f"{what} {seconds} s ago, at most {most} s"
