"""Rules that ask deciders: whom a login needs asked, and what it comes to once they have said what they say.

Two pure steps with the asking between them: `need` says whom, `conclude` takes what came. A no means that the rule does
not match, or with ``veto`` that the login is refused; no answer is never a yes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pgbearer.policy.advice import Advice, Answer
from pgbearer.policy.allowing import allowed, critical_denied
from pgbearer.policy.fields import Asked
from pgbearer.policy.outcome import Considered, Deny, Outcome
from pgbearer.policy.rule import AskTerms, PolicyRule
from pgbearer.policy.tiers import CriticalTerms
from pgbearer.wire import Reason

__all__ = ["Ask", "conclude", "need"]


_UNKNOWN: Final = Advice(answer=Answer.UNKNOWN, reason="it was not asked")

_REASONS: Final[Mapping[Answer, Reason]] = {
    Answer.MISCONFIGURED: Reason.DECIDER_MISCONFIGURED,
    Answer.UNAVAILABLE: Reason.DECIDER_UNAVAILABLE,
    Answer.UNKNOWN: Reason.DECIDER_UNAVAILABLE,
    Answer.UNASKABLE: Reason.NAME_NOT_EXPRESSIBLE,
    Answer.NO: Reason.DECIDER_DENIED,
}
"""What a login is refused for; where rules differ, the first in this order is told."""
_SEVERITY: Final = {answer: place for place, answer in enumerate(_REASONS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The login hangs on deciders: ask all of them this one question, and `conclude`."""

    deciders: tuple[str, ...]
    """Names under ``deciders:``, sorted."""
    considered: tuple[Considered, ...]
    asked: Asked
    allowing: tuple[PolicyRule, ...]
    """Rules that match without asking anybody."""
    asking: tuple[PolicyRule, ...]
    """Rules that match but for their deciders' answers."""
    fallbacks: Mapping[str, tuple[PolicyRule, Considered]]
    """By name, the rules that may count in place of an answer, and whether each matches."""
    critical: CriticalTerms | None


def need(
    *,
    asked: Asked,
    allowing: tuple[PolicyRule, ...],
    asking: tuple[PolicyRule, ...],
    fallbacks: Mapping[str, tuple[PolicyRule, Considered]],
    considered: tuple[Considered, ...],
    critical: CriticalTerms | None,
) -> Outcome | Ask:
    """Whom to ask, or the outcome if nobody's answer can change it; arguments as the members of `Ask`.

    Where a rule allows without asking, only vetoes are asked: of the others the terms count without an answer, so that
    neither an answer nor its absence loosens anything. Nobody is asked about a login that no answer would let in.
    """
    binding = allowing or (asking if all(rule.critical for rule in asking) else ())
    if denied := critical_denied(binding, asked, considered, critical):
        return denied
    wanted = [rule for rule in asking if not allowing or (rule.ask and rule.ask.veto)]
    ask = Ask(
        deciders=tuple(sorted({name for rule in wanted if rule.ask for name in rule.ask.deciders})),
        considered=considered,
        asked=asked,
        allowing=allowing,
        asking=asking,
        fallbacks=fallbacks,
        critical=critical,
    )
    return ask if ask.deciders else conclude(ask, {})


@dataclass(frozen=True, slots=True)
class _Standing:
    """What a rule's deciders come to: `holds` is None if that cannot be said, and `answer` then says why."""

    rule: PolicyRule
    holds: bool | None
    answer: Answer
    detail: str
    instead: tuple[str, ...] = ()
    """Fallbacks that counted in place of answers."""


def conclude(ask: Ask, advice: Mapping[str, Advice]) -> Outcome:
    """The outcome, with what the deciders said. The order in which they said it never matters.

    Args:
        ask: from `pgbearer.policy.evaluate`.
        advice: by decider; one that is missing is taken as `Answer.UNKNOWN`.
    """
    standings = [_standing(rule, rule.ask, ask, advice) for rule in ask.asking if rule.ask]
    considered = _retold(ask.considered, standings, ask.fallbacks)
    if denied := _vetoed(standings, considered):
        return denied
    yes = [one for one in standings if one.holds]
    instead = {name for one in yes for name in one.instead}
    matched = (*ask.allowing, *(one.rule for one in yes), *(ask.fallbacks[name][0] for name in sorted(instead)))
    if not matched:
        return _refused(standings, considered)
    open_ = [one.rule for one in standings if one.holds is None]
    return allowed(matched, ask.asked, considered, ask.critical, terms_of=open_)


def _standing(rule: PolicyRule, terms: AskTerms, ask: Ask, advice: Mapping[str, Advice]) -> _Standing:
    """``all``: a no outweighs a fault, and that a yes. ``any``: a yes outweighs a fault, and that a no."""
    if ask.allowing and not terms.veto:
        return _Standing(rule, None, Answer.UNKNOWN, "not asked, because another rule allows the login")
    said = [_settled(rule, name, terms, ask, advice.get(name, _UNKNOWN)) for name in terms.deciders]
    weight = {False: 0, None: 1, True: 2} if terms.every else {True: 0, None: 1, False: 2}
    decisive = min(weight[one.holds] for one in said)
    deciding = [one for one in said if weight[one.holds] == decisive]
    worst = min(deciding, key=lambda one: _SEVERITY.get(one.answer, 0))
    instead = tuple(name for one in deciding for name in one.instead)
    return _Standing(rule, worst.holds, worst.answer, "; ".join(one.detail for one in deciding), instead)


def _settled(rule: PolicyRule, name: str, terms: AskTerms, ask: Ask, advice: Advice) -> _Standing:
    """What one decider's advice comes to for one rule, ``on_fault`` applied."""
    detail = f"{name}: {advice}"
    if advice.answer in (Answer.YES, Answer.NO):
        return _Standing(rule, advice.answer is Answer.YES, advice.answer, detail)
    other = terms.on_fault.get(name)
    holds: bool | None = None
    instead: tuple[str, ...] = ()
    if advice.answer is Answer.UNAVAILABLE and other is not None:
        age = advice.last_yes_age
        if other.max_age is not None and age is not None and age <= other.max_age:
            holds, detail = True, f"{detail}; it said yes {age:.0f} s ago"
        elif other.rule and other.rule in ask.fallbacks and ask.fallbacks[other.rule][1].matched:
            holds, detail, instead = True, f'{detail}; the rule "{other.rule}" matches instead', (other.rule,)
    return _Standing(rule, holds, advice.answer, detail, instead)


def _vetoed(standings: Sequence[_Standing], considered: tuple[Considered, ...]) -> Deny | None:
    """A veto that is said, or else one that may be: it could not be asked."""
    vetoes = [one for one in standings if one.rule.ask and one.rule.ask.veto and not one.holds]
    if not vetoes:
        return None
    one = min(vetoes, key=lambda one: (one.holds is None, one.rule.name))
    return Deny(reason=_REASONS[one.answer], rule=one.rule.name, detail=one.detail, considered=considered)


def _refused(standings: Iterable[_Standing], considered: tuple[Considered, ...]) -> Deny:
    one = min(standings, key=lambda one: (_SEVERITY[one.answer], one.rule.name))
    return Deny(reason=_REASONS[one.answer], rule=one.rule.name, detail=one.detail, considered=considered)


def _retold(
    considered: Iterable[Considered],
    standings: Iterable[_Standing],
    fallbacks: Mapping[str, tuple[PolicyRule, Considered]],
) -> tuple[Considered, ...]:
    """What was considered, now that it is known who said what."""
    by_rule = {one.rule.name: one for one in standings}
    instead = {name for one in by_rule.values() if one.holds for name in one.instead}
    retold = [_told(one, by_rule.get(one.rule)) for one in considered if one.rule not in instead]
    return (*retold, *(fallbacks[name][1] for name in sorted(instead)))


def _told(one: Considered, standing: _Standing | None) -> Considered:
    if standing is None:
        return one
    if standing.holds:
        return replace(one, detail=standing.detail)
    error = _REASONS[standing.answer] if standing.holds is None and standing.answer is not Answer.UNKNOWN else None
    return replace(one, unmet="ask", error=error, detail=standing.detail)
