"""The decision: a pure function of the policy, a verified token, a request and the time.

Deny wins, then any allow, else deny; the order of rules never matters. No I/O, no clock, no logging: the same values
give the same answer, in a test, in a diff, and when the audit is replayed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from pgbearer.policy.advice import Advice
from pgbearer.policy.allowing import allowed
from pgbearer.policy.asking import Ask, conclude, need
from pgbearer.policy.conditions import Environment
from pgbearer.policy.fields import Asked
from pgbearer.policy.index import Index
from pgbearer.policy.match import Question, consider, for_actor, gives_a_role
from pgbearer.policy.names import nameable
from pgbearer.policy.outcome import Considered, Deny, Outcome
from pgbearer.policy.rule import PolicyRule
from pgbearer.policy.tiers import CriticalTerms
from pgbearer.verified import Verified
from pgbearer.wire import AccessRequest, Reason, Replication

__all__ = ["Policy", "decide", "evaluate", "explain"]


@dataclass(frozen=True, slots=True)
class Policy:
    """Compiled rules. Immutable: safe to share between threads and to swap whole on reload."""

    index: Index
    environments: Mapping[str, Environment]
    """By issuer name."""
    critical: Mapping[str, CriticalTerms] = field(default_factory=dict)
    """By issuer name; an issuer that is not in it has no critical tier."""
    fallbacks: Mapping[str, PolicyRule] = field(default_factory=dict)
    """By name, the rules that count only in place of an answer."""

    @property
    def rules(self) -> tuple[PolicyRule, ...]:
        """All rules, in the order of the file."""
        return self.index.rules


def evaluate(
    policy: Policy,
    verified: Verified,
    request: AccessRequest,
    *,
    server: str,
    now: int,
    keys_age: float | None = None,
) -> Outcome | Ask:
    """Decide one login, or say whom to ask first: then `pgbearer.policy.conclude` decides it.

    Args:
        policy: the rules.
        verified: who asks, from `pgbearer.tokens`.
        request: what is asked.
        server: the asking server's name under ``servers:``, known from the peer of the connection.
        now: epoch seconds by this service's clock.
        keys_age: seconds since the issuer's keys were last fetched; None if not known, which is refused to the
            critical tier.
    """
    asked = Asked(verified=verified, request=request, server=server, now=now, keys_age=keys_age)
    question = Question(asked, policy.environments)
    if unusable := _unusable(request):
        return unusable
    rules = tuple(policy.index.candidates(question))
    considered = tuple(consider(rule, question) for rule in rules)
    if denied := _denied(considered):
        return denied
    matched = tuple(rule for rule, one in zip(rules, considered, strict=True) if one.matched)
    if matched and (doubted := _veto_in_doubt(rules, considered)):
        return doubted
    if any(rule.ask or rule.fallback for rule in matched):
        return _asking(policy, question, matched, considered)
    if matched:
        return allowed(matched, asked, considered, policy.critical.get(verified.issuer))
    return _not_allowed(policy, question, considered)


def decide(
    policy: Policy,
    verified: Verified,
    request: AccessRequest,
    *,
    server: str,
    now: int,
    keys_age: float | None = None,
    advice: Mapping[str, Advice] = MappingProxyType({}),
) -> Outcome:
    """Decide a login with what deciders are known, or assumed, to say; arguments as for `evaluate`.

    `advice` is by decider; one that is missing and would have to be asked is `Answer.UNKNOWN`, which allows nothing.
    """
    outcome = evaluate(policy, verified, request, server=server, now=now, keys_age=keys_age)
    return conclude(outcome, advice) if isinstance(outcome, Ask) else outcome


def explain(
    policy: Policy, verified: Verified, request: AccessRequest, *, server: str, now: int
) -> tuple[Considered, ...]:
    """What every rule of the file says to a login, in the order of the file; arguments as for `evaluate`."""
    question = Question(Asked(verified=verified, request=request, server=server, now=now), policy.environments)
    return tuple(consider(rule, question) for rule in policy.rules)


def _unusable(request: AccessRequest) -> Deny | None:
    """Names that PostgreSQL cannot have, and roles that it says it has not."""
    physical = request.replication is Replication.PHYSICAL
    if not nameable(request.role) or not (physical or nameable(request.database)):
        detail = "the requested role or database is no name of 1 to 63 bytes"
        return Deny(reason=Reason.NAME_NOT_EXPRESSIBLE, rule=None, detail=detail, considered=())
    if not request.role_attributes.exists:
        return Deny(reason=Reason.ROLE_UNKNOWN, rule=None, detail="the catalog has no such role", considered=())
    return None


def _denied(considered: Sequence[Considered]) -> Deny | None:
    """A deny rule that matches, or else one that cannot be judged: it might have matched."""
    deny = [one for one in considered if one.deny and (one.matched or one.error)]
    if not deny:
        return None
    one = min(deny, key=lambda one: (not one.matched, one.rule))
    if one.matched:
        return Deny(
            reason=Reason.DENIED_BY_RULE, rule=one.rule, detail="a deny rule matches", considered=tuple(considered)
        )
    detail = f"{one.unmet}: {one.detail}"
    return Deny(reason=one.error or Reason.POLICY_ERROR, rule=one.rule, detail=detail, considered=tuple(considered))


def _veto_in_doubt(rules: Sequence[PolicyRule], considered: Sequence[Considered]) -> Deny | None:
    """A rule with a veto that cannot be judged: it might have matched, and its decider might have said no."""
    doubted = [one for rule, one in zip(rules, considered, strict=True) if one.error and rule.ask and rule.ask.veto]
    if not doubted:
        return None
    one = min(doubted, key=lambda one: one.rule)
    detail = f"a veto may hang on it; {one.unmet}: {one.detail}"
    return Deny(reason=one.error or Reason.POLICY_ERROR, rule=one.rule, detail=detail, considered=tuple(considered))


def _asking(
    policy: Policy, question: Question, rules: Sequence[PolicyRule], considered: Sequence[Considered]
) -> Outcome | Ask:
    """Some rule that matches asks deciders, or counts only in place of an answer."""
    asking = tuple(rule for rule in rules if rule.ask)
    named = {terms.rule for rule in asking if rule.ask for terms in rule.ask.on_fault.values() if terms.rule}
    known = [policy.fallbacks[name] for name in sorted(named) if name in policy.fallbacks]
    fallbacks = {rule.name: (rule, consider(rule, question)) for rule in known}
    aside = {rule.name for rule in rules if rule.fallback}
    told = tuple(replace(one, unmet="fallback") if one.rule in aside else one for one in considered)
    allowing = tuple(rule for rule in rules if not rule.ask and not rule.fallback)
    if not asking and not allowing:
        return _not_allowed(policy, question, told)
    return need(
        asked=question.asked,
        allowing=allowing,
        asking=asking,
        fallbacks=fallbacks,
        considered=told,
        critical=policy.critical.get(question.asked.verified.issuer),
    )


_TOLD: Sequence[tuple[Reason, str]] = (
    (Reason.ROLE_PRIVILEGED, "privileged"),
    (Reason.REPLICATION_NOT_ALLOWED, "replication"),
)
_TOLD_AGENTS: tuple[Reason, str] = (Reason.AGENT_NOT_ALLOWED, "actor")


def _not_allowed(policy: Policy, question: Question, considered: tuple[Considered, ...]) -> Deny:
    """No rule matches: the reason that helps most, from the rule that came nearest."""
    inexpressible = [one for one in considered if one.error is Reason.NAME_NOT_EXPRESSIBLE]
    if inexpressible:
        one = min(inexpressible, key=lambda one: one.rule)
        return _refusal(Reason.NAME_NOT_EXPRESSIBLE, one, considered)
    for reason, unmet in _TOLD if question.asked.verified.actor is None else (_TOLD_AGENTS, *_TOLD):
        near = [one for one in considered if one.unmet == unmet]
        if near:
            return _refusal(reason, min(near, key=lambda one: one.rule), considered)
    for rule in policy.index.for_other_roles(question):
        one = consider(rule, question)
        if one.unmet == "roles" and not one.error and for_actor(rule, question) and gives_a_role(rule, question):
            return _refusal(Reason.ROLE_NOT_ALLOWED, None, tuple(dict.fromkeys((*considered, one))))
    failed = min((one for one in considered if one.error), key=lambda one: one.rule, default=None)
    return _refusal(Reason.NO_RULE, failed, considered)


def _refusal(reason: Reason, one: Considered | None, considered: tuple[Considered, ...]) -> Deny:
    detail = (one.detail if one else None) or reason.meaning
    return Deny(reason=reason, rule=one.rule if one else None, detail=detail, considered=considered)
