"""Rules about agents that are allowed and probably not meant: as much as the person has, or nothing at all."""

from collections.abc import Iterator

from pgbearer.config import Problem, Rule, Settings
from pgbearer.policy.acting import actors_of, asked_of_the_person
from pgbearer.policy.review import Review, finding

__all__ = ["agent_gets_as_much_as_its_person", "agent_is_refused_for_what_it_does_not_say"]


def agent_gets_as_much_as_its_person(review: Review) -> Iterator[Problem]:
    """An agent should have less than the people it acts for: no privilege, no role for the asking, no hours."""
    for index, rule in enumerate(review.settings.rules):
        if rule.deny or rule.actor in {None, "forbid"}:
            continue
        if rule.privileged:
            yield finding(index, "privileged", "an agent may be given a privileged role")
        if rule.replication:
            yield finding(index, "replication", "an agent may copy the database")
        if rule.roles_from is not None:
            yield finding(index, "roles_from", "an agent gets every role that the token names: no less than the person")
        if "*" in rule.roles:
            yield finding(index, "roles", "an agent gets any role for the asking", "name a smaller one")
        if ((rule.session and rule.session.until) or review.settings.defaults.session.until) != "token":
            message = "the session of an agent goes on after the token that it came with"
            yield finding(index, "session", message, "session: {until: token}", severity="notice")


def agent_is_refused_for_what_it_does_not_say(review: Review) -> Iterator[Problem]:
    """A deny rule that asks for what an agent's tokens need not say refuses that agent wherever it could hold."""
    settings = review.settings
    admitted = _admitted(settings)
    for index, rule in enumerate(settings.rules):
        asked = _asked(rule) if rule.deny else frozenset[str]()
        if not asked:
            continue
        actors = actors_of(rule).agents
        for name, issuer in settings.issuers.items():
            for agent, said in issuer.agents.items() if name in (rule.issuers or settings.issuers) else ():
                unsaid = sorted(asked - set(said.carries))
                if unsaid and agent in admitted and (actors is None or agent in actors):
                    message = f'refuses the agent "{agent}" too: its tokens need not say {" and ".join(unsaid)}'
                    hint = f"see issuers.{name}.agents.{agent}.carries"
                    yield finding(index, "name", message, hint)


def _admitted(settings: Settings) -> frozenset[str]:
    """Agents that some rule lets in; of the others it does not matter what refuses them."""
    every = frozenset(agent for issuer in settings.issuers.values() for agent in issuer.agents)
    found = (actors_of(rule).agents for rule in settings.rules if not rule.deny)
    return frozenset().union(*(every if agents is None else agents for agents in found))


def _asked(rule: Rule) -> frozenset[str]:
    """What a rule asks of the person, as ``carries`` has it."""
    keys = {
        "token_roles": bool(rule.any_role or rule.all_roles),
        "groups": bool(rule.any_group),
        "organizations": bool(rule.any_organization),
    }
    named = frozenset(name for name, is_asked in keys.items() if is_asked)
    taken = frozenset([rule.roles_from.claim] if rule.roles_from else [])
    return named | taken | asked_of_the_person(rule.when)
