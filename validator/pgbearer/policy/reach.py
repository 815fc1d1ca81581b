"""Rules that change nothing: said twice, covered by another, or refused by a deny rule whenever they match.

Only what can be proved from the text is reported. Looking stays bounded however many rules there are.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import chain, islice
from typing import Final

from pgbearer.config import Problem, Rule, all_within
from pgbearer.policy.acting import actors_of
from pgbearer.policy.names import is_glob
from pgbearer.policy.review import Review, finding

__all__ = ["never_reached", "same_twice", "shadowed"]

MOST_COMPARED: Final = 40
"""So many rules a rule is compared with, at most; who writes more that are alike will find the first of them."""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def same_twice(review: Review) -> Iterator[Problem]:
    """Two rules that say the same under two names: one of them will be forgotten when the other is changed."""
    seen: dict[str, str] = {}
    for index, rule in enumerate(review.settings.rules):
        key = _said(rule)
        if key in seen:
            yield finding(index, "name", f'says the same as the rule "{seen[key]}"')
        seen.setdefault(key, rule.name)


def never_reached(review: Review) -> Iterator[Problem]:
    """An allow rule all of whose logins a deny rule refuses."""
    denials = [rule for rule in review.settings.rules if rule.deny and _is_for_everyone(rule)][:MOST_COMPARED]
    for index, rule in enumerate(review.settings.rules):
        covering = next((deny for deny in denials if _covers(deny, rule)), None) if not rule.deny else None
        if covering:
            message = f'never allows anything: the deny rule "{covering.name}" refuses all it matches'
            yield finding(index, "name", message)


def shadowed(review: Review) -> Iterator[Problem]:
    """An allow rule that could go: another allows all that it allows, for no longer and at no lower tier."""
    rules = review.settings.rules
    shelves: dict[tuple[str | None, str | None], list[Rule]] = defaultdict(list)
    for rule in rules:
        if not rule.deny:
            for shelf in _shelves(rule):
                shelves[shelf].append(rule)
    said = {id(rule): _said(rule) for rule in rules}
    for index, rule in enumerate(rules):
        if not rule.deny:
            near = islice(chain.from_iterable(shelves.get(shelf, ()) for shelf in _asked(rule)), MOST_COMPARED)
            others = (one for one in near if said[id(one)] != said[id(rule)])  # `same_twice` has those that are equal
            broader = next((one for one in others if _makes_needless(one, rule)), None)
            if broader:
                yield finding(index, "name", f'changes nothing: the rule "{broader.name}" allows all that it allows')


def _said(rule: Rule) -> str:
    return rule.model_dump_json(exclude={"name", "ticket"})


def _shelves(rule: Rule) -> set[tuple[str | None, str | None]]:
    """Where a rule is looked for that could cover others: by a role it asks for and a database it names exactly."""
    roles: Collection[str | None] = rule.any_role or (None,)
    exact = [name for name in rule.databases if not is_glob(name) and "{" not in name]
    databases = {*exact, None} if len(exact) != len(rule.databases) or not exact else set(exact)
    return {(role, database) for role in islice(roles, MOST_COMPARED) for database in islice(databases, MOST_COMPARED)}


def _asked(rule: Rule) -> Iterator[tuple[str | None, str | None]]:
    """Where rules stand that could cover this one."""
    for role in (*rule.any_role[:1], *rule.all_roles, None):
        for database in (*rule.databases[:1], None):
            yield role, database


def _makes_needless(one: Rule, rule: Rule) -> bool:
    return (
        one.when in {None, rule.when}
        and one.expires == rule.expires
        and _asks_nobody_more(one, rule)
        and _asks_no_more(one, rule)
        and _gives_as_much(one, rule)
        and _is_as_strict(one, rule)
    )


def _asks_nobody_more(one: Rule, rule: Rule) -> bool:
    """Whether `one` needs no decider's yes that `rule` does without; a veto is never needless, for it can refuse."""
    vetoes = rule.ask is not None and rule.ask.veto
    return not vetoes and one.fallback == rule.fallback and (one.ask is None or one.ask == rule.ask)


def _asks_no_more(one: Rule, rule: Rule) -> bool:
    """Whether whoever has what `rule` asks for has what `one` asks for."""
    return (
        (_within(rule.any_role, one.any_role) or bool(set(rule.all_roles) & set(one.any_role)))
        and set(one.all_roles) <= set(rule.all_roles)
        and _within(rule.any_group, one.any_group)
        and _within(rule.any_organization, one.any_organization)
        and _within(rule.servers, one.servers)
        and _within(rule.issuers, one.issuers)
        and _actors_within(rule, one)
        and _networks_within(rule.from_, one.from_)
    )


def _actors_within(inner: Rule, outer: Rule) -> bool:
    """Whether whoever may act by `inner` may act by `outer`."""
    here, there = actors_of(inner), actors_of(outer)
    agents = there.agents is None or (here.agents is not None and here.agents <= there.agents)
    return agents and (there.nobody or not here.nobody)


def _gives_as_much(one: Rule, rule: Rule) -> bool:
    if rule.roles_from is not None and rule.roles_from != one.roles_from and "*" not in one.roles:
        return False
    if rule.roles and not (one.roles and all_within(rule.roles, one.roles)):
        return False
    if rule.privileged and not (one.privileged and set(rule.roles) <= set(one.roles)):
        return False
    connections = set(rule.replication or ("none",)), set(one.replication or ("none",))
    return connections[0] <= connections[1] and bool(one.databases) and all_within(rule.databases, one.databases)


def _is_as_strict(one: Rule, rule: Rule) -> bool:
    """Whether sessions by `one` end no later, and its tier is no lower, so that `rule` shortens and demands nothing."""
    return one.session == rule.session and (one.tier == rule.tier or one.tier == "critical")


def _is_for_everyone(deny: Rule) -> bool:
    asks = deny.any_role or deny.all_roles or deny.any_group or deny.any_organization
    return not (asks or deny.when or deny.expires or deny.roles_from)


def _covers(deny: Rule, rule: Rule) -> bool:
    return (
        _within(rule.servers, deny.servers)
        and _within(rule.issuers, deny.issuers)
        and _actors_within(rule, deny)
        and all_within(rule.databases, deny.databases)
        and (all_within(rule.roles, deny.roles) if rule.roles_from is None else not deny.roles)
        and _networks_within(rule.from_, deny.from_)
        and _within(rule.replication, deny.replication)
    )


def _within(inner: Collection[str], outer: Collection[str]) -> bool:
    """Whether all that `inner` means is meant by `outer`; empty means everything."""
    return not outer or (bool(inner) and set(inner) <= set(outer))


def _networks_within(inner: Collection[str], outer: Collection[str]) -> bool:
    if not outer or not inner:
        return not outer
    try:
        outers = [ipaddress.ip_network(text) for text in outer]
        return all(any(_subnet(ipaddress.ip_network(text), net) for net in outers) for text in inner)
    except ValueError:
        return False  # reported by pgbearer.config.checks.networks_are_networks


def _subnet(inner: _Network, outer: _Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    return (
        isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)
    )
