"""From ``ask`` as it is written to what is asked, with what each decider says of faults taken in."""

from collections.abc import Mapping

from pgbearer.config import Rule
from pgbearer.config.decider_kinds import Decider
from pgbearer.config.deciders import OnFault
from pgbearer.policy.rule import AskTerms, FaultTerms

__all__ = ["ask_terms"]


def ask_terms(rule: Rule, deciders: Mapping[str, Decider]) -> AskTerms | None:
    """Whom a rule asks, None if nobody. What a rule says of faults goes before what its deciders say."""
    ask = rule.ask
    if ask is None:
        return None
    on_fault = {}
    for name in ask.deciders:
        said = ask.on_fault or (deciders[name].on_fault if name in deciders else "deny")
        if isinstance(said, OnFault):
            max_age = said.last_known.max_age if said.last_known else None
            on_fault[name] = FaultTerms(max_age=max_age, rule=said.rule)
    return AskTerms(deciders=ask.deciders, every=ask.all is not None, veto=ask.veto, on_fault=on_fault)
