"""Finding the few rules that can matter among many, by database, role and whom they are for.

Only a sieve: what it lets through is asked in full, and what it holds back could not have matched. A rule is filed
under each combination it names: exact names as they are, globs under their literal prefix, templates under none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

from pgbearer.policy.match import AN_AGENT, Question
from pgbearer.policy.rule import PolicyRule
from pgbearer.wire import Replication

__all__ = ["Index"]

_MOST_PLACES = 64
"""A rule that names more combinations than this is filed more coarsely: the index must not outgrow the rules."""

_Shelf = dict[str | None, list[PolicyRule]]
"""Rules by the token role or group that they need, or None."""


@dataclass(slots=True)
class _Keys:
    """The keys that a name may be filed under; knows how long the prefixes in use are."""

    lengths: set[int] = field(default_factory=set)

    def note(self, keys: Iterable[str]) -> None:
        self.lengths |= {len(key) - 1 for key in keys if key.endswith("*")}

    def of(self, name: str) -> list[str]:
        return [name, *(f"{name[:length]}*" for length in self.lengths if length <= len(name))]


@dataclass(slots=True)
class Index:
    """All rules, filed. Made once, then only read."""

    rules: tuple[PolicyRule, ...]
    _by_place: dict[tuple[str, str], _Shelf] = field(default_factory=dict, init=False)
    _by_database: dict[str, _Shelf] = field(default_factory=dict, init=False)
    _databases: _Keys = field(default_factory=_Keys, init=False)
    _roles: _Keys = field(default_factory=_Keys, init=False)

    def __post_init__(self) -> None:
        for rule in self.rules:
            databases, roles, principals = _places(rule)
            self._databases.note(databases)
            self._roles.note(roles)
            for database, role, principal in product(databases, roles, principals):
                self._by_place.setdefault((database, role), {}).setdefault(principal, []).append(rule)
            if not rule.deny:
                for database, principal in product(databases, principals):
                    self._by_database.setdefault(database, {}).setdefault(principal, []).append(rule)

    def candidates(self, question: Question) -> Iterable[PolicyRule]:
        """Rules that could match this login, each once, in the order of the file."""
        request = question.asked.request
        if request.replication is Replication.PHYSICAL:
            return self.rules  # connected to no database; rare
        places = product(self._databases.of(request.database), self._roles.of(request.role))
        return _once(question, map(self._by_place.get, places))

    def for_other_roles(self, question: Question) -> Iterable[PolicyRule]:
        """Allow rules that could match this login if it asked for another role."""
        return _once(question, map(self._by_database.get, self._databases.of(question.asked.request.database)))


def _once(question: Question, shelves: Iterable[_Shelf | None]) -> list[PolicyRule]:
    found: dict[int, PolicyRule] = {}
    for shelf in shelves:
        if shelf:
            for principal in shelf.keys() & question.principals:
                found.update((rule.index, rule) for rule in shelf[principal])
    return [found[index] for index in sorted(found)]


def _places(rule: PolicyRule) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str | None, ...]]:
    databases = rule.databases.keys
    roles = ("*",) if rule.roles_from else rule.roles.keys
    principals = tuple(_principals(rule)) or (None,)
    if rule.deny and principals != (None,):
        principals = (*principals, AN_AGENT)
    if len(databases) * len(roles) * len(principals) > _MOST_PLACES:
        principals = (None,)
    if len(databases) * len(roles) > _MOST_PLACES:
        roles = ("*",)
    if len(databases) > _MOST_PLACES:
        databases = ("*",)
    return databases, roles, principals


def _principals(rule: PolicyRule) -> Iterator[str | None]:
    """Whom the rule is for: any of these must be in the token for the rule to match."""
    if rule.any_role:
        yield from (f"role {role}" for role in rule.any_role)
    elif rule.all_roles:
        yield f"role {min(rule.all_roles)}"
    elif rule.any_group:
        yield from (f"group {group}" for group in rule.any_group)
    elif rule.any_organization:
        yield from (f"organization {organization}" for organization in rule.any_organization)
