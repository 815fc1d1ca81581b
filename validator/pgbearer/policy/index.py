"""Finding the few rules that can matter among many, by database, role and whom they are for.

Only a sieve: what it lets through is asked in full, and what it holds back could not have matched. A rule is filed
under each exact combination it names; where a name is a glob or a template, under None, which every login looks at.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

from pgbearer.policy.match import Question
from pgbearer.policy.rule import Names, PolicyRule
from pgbearer.wire import Replication

__all__ = ["Index"]

_MOST_PLACES = 64
"""A rule that names more combinations than this is filed more coarsely: the index must not outgrow the rules."""

_Shelf = dict[str | None, list[PolicyRule]]


@dataclass(slots=True)
class Index:
    """All rules, filed. Made once, then only read."""

    rules: tuple[PolicyRule, ...]
    _by_place: dict[tuple[str | None, str | None], _Shelf] = field(default_factory=dict, init=False)
    _by_database: dict[str | None, _Shelf] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for rule in self.rules:
            databases, roles, principals = _places(rule)
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
        database, role = request.database, request.role
        keys = ((database, role), (database, None), (None, role), (None, None))
        return _once(question, (self._by_place.get(key) for key in keys))

    def for_other_roles(self, question: Question) -> Iterable[PolicyRule]:
        """Allow rules that could match this login if it asked for another role."""
        database = question.asked.request.database
        return _once(question, (self._by_database.get(key) for key in (database, None)))


def _once(question: Question, shelves: Iterable[_Shelf | None]) -> list[PolicyRule]:
    found: dict[int, PolicyRule] = {}
    for shelf in shelves:
        if shelf:
            for principal in shelf.keys() & question.principals:
                found.update((rule.index, rule) for rule in shelf[principal])
    return [found[index] for index in sorted(found)]


def _places(rule: PolicyRule) -> tuple[list[str | None], list[str | None], list[str | None]]:
    databases = _exact(rule.databases)
    roles: list[str | None] = [None] if rule.roles_from else _exact(rule.roles)
    principals = list(_principals(rule)) or [None]
    if len(databases) * len(roles) * len(principals) > _MOST_PLACES:
        principals = [None]
    if len(databases) * len(roles) > _MOST_PLACES:
        roles = [None]
    if len(databases) > _MOST_PLACES:
        databases = [None]
    return databases, roles, principals


def _exact(names: Names) -> list[str | None]:
    return list(names.exact) if names.only_exact else [None]


def _principals(rule: PolicyRule) -> Iterator[str | None]:
    """Whom the rule is for: any of these must be in the token for the rule to match."""
    if rule.any_role:
        yield from (f"role {role}" for role in rule.any_role)
    elif rule.all_roles:
        yield f"role {min(rule.all_roles)}"
    elif rule.any_group:
        yield from (f"group {group}" for group in rule.any_group)
