"""What deciders said, as one more key of the rules that ask them; and which rules count in place of an answer."""

from collections.abc import Iterator

from pgbearer.config import Rule
from pgbearer.policy.advice import Advice, Answer
from pgbearer.policy.fields import Asked
from pgbearer.policy.match import Judged
from pgbearer.policy.outcome import Considered
from pgbearer.policy.rule import PolicyRule

__all__ = ["asked_by", "demand_of", "judged_by_others", "said_to"]


def judged_by_others(rule: PolicyRule, told: Considered | None, asked: Asked) -> Iterator[Judged]:
    """``ask`` and ``fallback`` of a rule that holds in all else.

    Args:
        rule: the rule.
        told: what became of it in the decision; None if it was not looked at.
        asked: the login, with what deciders said.
    """
    if told is None or (not told.matched and told.unmet not in ("ask", "fallback")):
        return
    if rule.ask is not None:
        no = any(said_by(name, asked).answer is Answer.NO for name in rule.ask.deciders)
        yield Judged(key="ask", holds=True if told.matched else (False if no and told.error is None else None))
    if rule.fallback and not told.matched:
        yield Judged(key="fallback", holds=False)


def said_by(decider: str, asked: Asked) -> Advice:
    """What is known to have been said."""
    return asked.advice.get(decider, Advice(answer=Answer.UNKNOWN))


def said_to(rule: Rule, asked: Asked) -> str:
    """What each decider of a rule said."""
    names = rule.ask.deciders if rule.ask else ()
    return "; ".join(
        f"{name} was not asked" if (said := said_by(name, asked)).answer is Answer.UNKNOWN else f"{name}: {said}"
        for name in names
    )


def demand_of(rule: Rule) -> str | None:
    """Whose yes a rule asks for: ``a yes of opa and pdp``, ``a yes of opa or pdp``; None: nobody's."""
    return f"a yes of {asked_by(rule)}" if rule.ask else None


def asked_by(rule: Rule) -> str:
    """Whom a rule asks: ``opa and pdp`` if all must say yes, ``opa or pdp`` if any."""
    if rule.ask is None:
        return "nobody"
    *head, last = rule.ask.deciders
    return f"{', '.join(head)} {'and' if rule.ask.all else 'or'} {last}" if head else last
