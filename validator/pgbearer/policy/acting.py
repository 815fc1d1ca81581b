"""What changes if somebody acts for the person: which rules hold at all, and what a deny rule can no longer rely on.

An allow rule is for people unless it says ``actor``; so an agent gets what rules for agents give, and no more. A deny
rule holds whoever acts. But a token that an exchange made may say less of the person than the person's own: groups and
roles can be left out by asking for fewer scopes, or by a client that has no mapper for them. A deny rule that asks for
what is not there would then be escaped by having an agent act. So of an agent's token only what the agent is known to
carry (``issuers.*.agents.*.carries``) is taken to be absent; of all else a deny rule cannot be judged, and refuses.
"""

from typing import Final

from pgbearer.config import Rule
from pgbearer.policy.rule import Actors, PolicyRule
from pgbearer.policy.source import names_in
from pgbearer.verified import Actor, Verified

__all__ = ["actors_of", "asked_of_the_person", "holds_for_actor", "left_out"]

_FIELDS: Final = {"token.roles": "token_roles", "token.groups": "groups", "token.organizations": "organizations"}
"""Names that conditions have for what a token says of the person, as ``carries`` has them."""


def actors_of(rule: Rule) -> Actors:
    """Who may act for the person so that the rule holds: what ``actor`` says, or means by its absence."""
    if rule.actor is None:
        return Actors(nobody=True, agents=None if rule.deny else frozenset())
    if isinstance(rule.actor, tuple):
        return Actors(nobody=False, agents=frozenset(rule.actor))
    return Actors(nobody=rule.actor == "forbid", agents=None if rule.actor == "require" else frozenset())


def holds_for_actor(actors: Actors, actor: Actor | None) -> bool:
    """Whether a rule that is for `actors` is for this one; None: nobody acts."""
    if actor is None:
        return actors.nobody
    return actors.agents is None or actor.name in actors.agents


def asked_of_the_person(condition: str | None) -> frozenset[str]:
    """What a condition reads of the person, as ``carries`` has it; not what it reads of token, agent and request."""
    names = names_in(condition) if condition else ()
    claims = (name.split(".")[1] for name in names if name.startswith("claims."))
    return frozenset((*claims, *(_FIELDS[name] for name in names if name in _FIELDS)))


def left_out(rule: PolicyRule, verified: Verified) -> frozenset[str]:
    """What a deny rule asks for and does not find, though the person may have it: none if nobody acts.

    A rule that asks by ``any_group`` for what the token has is certain, whatever else may be missing from it.
    """
    if not rule.deny or verified.actor is None:
        return frozenset()
    missing = {
        "token_roles": not rule.all_roles <= verified.token_roles or _apart(rule.any_role, verified.token_roles),
        "groups": _apart(rule.any_group, verified.groups),
        "organizations": _apart(rule.any_organization, verified.organizations),
    }
    return frozenset(name for name, is_missing in missing.items() if is_missing) - verified.actor.carries


def _apart(asked: frozenset[str], held: frozenset[str]) -> bool:
    return bool(asked) and asked.isdisjoint(held)
