"""From rules that match to an allowed login: the strictest tier that any of them asks for, and the earliest end."""

from collections.abc import Sequence

from pgbearer.policy.fields import Asked
from pgbearer.policy.outcome import Allow, Considered, Deny, Outcome
from pgbearer.policy.rule import PolicyRule
from pgbearer.policy.tiers import CriticalTerms, unmet_demand
from pgbearer.wire import Reason

__all__ = ["allowed", "critical_denied"]


def allowed(
    rules: Sequence[PolicyRule],
    asked: Asked,
    considered: tuple[Considered, ...],
    critical: CriticalTerms | None,
    *,
    terms_of: Sequence[PolicyRule] = (),
) -> Outcome:
    """The outcome, if `rules` allow the login.

    Args:
        rules: those that match; at least one.
        asked: the login.
        considered: every rule that was looked at.
        critical: the critical tier of the token's issuer, if it has one.
        terms_of: rules that may match as well, for all that is known: they allow nothing, but their tier and end count.
    """
    binding = (*rules, *terms_of)
    if denied := critical_denied(binding, asked, considered, critical):
        return denied
    ends_at = min(_end(rule, asked) for rule in binding)
    names = tuple(sorted(rule.name for rule in rules))
    if ends_at <= asked.now:
        detail = "the session would be over at once"
        return Deny(reason=Reason.SESSION_OVER, rule=names[0], detail=detail, considered=considered)
    verified = asked.verified
    return Allow(
        identity=verified.identity,
        rules=names,
        ends_at=ends_at,
        claims=verified.claims,
        critical=any(rule.critical for rule in binding),
        considered=considered,
    )


def critical_denied(
    rules: Sequence[PolicyRule], asked: Asked, considered: tuple[Considered, ...], critical: CriticalTerms | None
) -> Deny | None:
    """Several allow rules: the strictest tier. What is not good enough for it is refused, whatever the others say."""
    rule = min((rule.name for rule in rules if rule.critical), default=None)
    if rule is None:
        return None
    unmet = unmet_demand(critical, asked)
    if unmet is None:
        return None
    return Deny(reason=unmet.reason, rule=rule, detail=f"tier critical: {unmet.detail}", considered=considered)


def _end(rule: PolicyRule, asked: Asked) -> int:
    """When a session that this rule allows ends, epoch seconds."""
    ends = [asked.now + rule.max]
    if rule.until == "token" or asked.verified.issuer in rule.ends_with_token:
        ends.append(asked.verified.expires_at)
    if rule.ends is not None:
        ends.append(rule.ends)
    return min(ends)
