"""What agents and the rules about them must agree on. Checks as in `pgbearer.config.checks`, which lists them."""

from collections.abc import Iterator

from pgbearer.config.agents import CARRIED, Agent
from pgbearer.config.problems import KeyPath, Problem, did_you_mean
from pgbearer.config.settings import Issuer, Rule, Settings

__all__ = [
    "actors_are_agents",
    "agents_are_known_by_something",
    "agents_are_told_apart",
    "no_denial_is_dodged",
    "no_veto_is_dodged",
]


def agents_are_known_by_something(settings: Settings) -> Iterator[Problem]:
    """An agent has a client or a subject, and carries only what a token of its issuer can say."""
    for path, issuer, agent in _agents(settings):
        if not agent.clients and not agent.subjects:
            yield Problem(path=path, message="nothing tells it from a person", hint="name its clients or subjects")
        known = (*CARRIED, *issuer.claims)
        for position, name in enumerate(agent.carries):
            if name not in known:
                message = f'"{name}" is none of {", ".join(CARRIED)}, nor a declared claim'
                yield Problem(path=(*path, "carries", position), message=message, hint=did_you_mean(name, known))


def agents_are_told_apart(settings: Settings) -> Iterator[Problem]:
    """A name is one agent's, a client or subject of an issuer one agent's; a client is a person's or an agent's."""
    owners: dict[str, str] = {}
    for name, issuer in settings.issuers.items():
        held: dict[tuple[str, str], str] = {}
        for agent, said in issuer.agents.items():
            path: KeyPath = ("issuers", name, "agents", agent)
            if owners.setdefault(agent, name) != name:
                yield Problem(path=path, message=f'issuer "{owners[agent]}" has an agent of this name too')
            for key, values in (("clients", said.clients), ("subjects", said.subjects)):
                for position, value in enumerate(values):
                    if held.setdefault((key, value), agent) != agent:
                        message = f'"{value}" is the agent "{held[key, value]}" already'
                        yield Problem(path=(*path, key, position), message=message)
                    if key == "clients" and value in issuer.clients:
                        message = f'"{value}" is among the clients of people too'
                        hint = f"take it out of issuers.{name}.clients"
                        yield Problem(path=(*path, key, position), message=message, hint=hint)


def actors_are_agents(settings: Settings) -> Iterator[Problem]:
    """Rules name agents that are there, of an issuer that they hold for."""
    for index, rule in enumerate(settings.rules):
        known = [name for issuer in _issuers(settings, rule) for name in issuer.agents]
        if rule.actor == "require" and not known:
            yield Problem(path=("rules", index, "actor"), message="there is no agent", hint="see issuers.NAME.agents")
        for position, name in enumerate(rule.actor if isinstance(rule.actor, tuple) else ()):
            if name not in known:
                message = f'no agent "{name}" under issuers.NAME.agents'
                yield Problem(path=("rules", index, "actor", position), message=message, hint=did_you_mean(name, known))
        if rule.tier == "critical" and rule.actor not in {None, "forbid"}:
            message = "the critical tier is for people and workloads themselves, not for who acts for them"
            yield Problem(path=("rules", index, "actor"), message=message)


def no_denial_is_dodged(settings: Settings) -> Iterator[Problem]:
    """A deny rule that held only while nobody acts would be escaped by having somebody act."""
    for index, rule in enumerate(settings.rules):
        if rule.deny and rule.actor == "forbid":
            message = "a person would escape this deny rule by having an agent act"
            hint = "leave it out: a deny rule holds whoever acts"
            yield Problem(path=("rules", index, "actor"), message=message, hint=hint)


def no_veto_is_dodged(settings: Settings) -> Iterator[Problem]:
    """A veto over people is no denial of agents: an agent's rule for the same role must ask those deciders too."""
    vetoes = [rule for rule in settings.rules if rule.ask and rule.ask.veto and rule.actor in {None, "forbid"}]
    for index, rule in enumerate(settings.rules):
        if rule.deny or rule.actor in {None, "forbid"}:
            continue
        asked = set(rule.ask.all or ()) if rule.ask else set[str]()
        for veto in vetoes:
            unasked = sorted(set(veto.ask.deciders) - asked) if veto.ask else []
            if unasked and not _apart(rule, veto):
                message = f'a person would escape the veto of the rule "{veto.name}" by having an agent act'
                hint = f"let this rule ask {', '.join(unasked)} too: ask: {{all: [...]}}"
                yield Problem(path=("rules", index, "actor"), message=message, hint=hint)


def _apart(one: Rule, other: Rule) -> bool:
    """Whether two rules are surely about different roles or databases: both name them exactly, and none is the same."""
    for key in ("databases", "roles"):
        names = (*getattr(one, key), *getattr(other, key))
        exact = bool(getattr(one, key) and getattr(other, key)) and not set("".join(names)) & set("*?{}")
        if key == "roles" and (one.roles_from or other.roles_from):
            exact = False
        if exact and len(set(names)) == len(names):
            return True
    return False


def _agents(settings: Settings) -> Iterator[tuple[KeyPath, Issuer, Agent]]:
    for name, issuer in settings.issuers.items():
        for agent, said in issuer.agents.items():
            yield ("issuers", name, "agents", agent), issuer, said


def _issuers(settings: Settings, rule: Rule) -> Iterator[Issuer]:
    for name in rule.issuers or settings.issuers:
        if name in settings.issuers:
            yield settings.issuers[name]
