"""What a file in ``policy.d`` may say: nothing that could reach beyond its ``limits``, whatever a token holds.

The list `CHECKS` is the whole of it. A deny rule is held to the limits like any other: who keeps one team's rules must
not be able to lock out another's.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pgbearer.config.patterns import within
from pgbearer.config.problems import KeyPath, Problem, did_you_mean
from pgbearer.config.rules import FileLimits, PolicyFile, Rule

__all__ = ["CHECKS", "beyond_limits"]

_Check = Callable[[Rule, FileLimits], Iterator[tuple[KeyPath, str]]]


def beyond_limits(file: PolicyFile, servers: Sequence[str]) -> Iterator[Problem]:
    """Every rule's reach beyond its file's limits, with paths as in the file.

    Args:
        file: the file, decoded.
        servers: names under ``servers`` of pgbearer.yaml.
    """
    for position, name in enumerate(file.limits.servers):
        if name not in servers:
            message = f'no "{name}" under servers'
            yield Problem(path=("limits", "servers", position), message=message, hint=did_you_mean(name, servers))
    for index, rule in enumerate(file.rules):
        for check in CHECKS:
            for path, message in check(rule, file.limits):
                yield Problem(path=("rules", index, *path), message=message, hint=f'"{file.owner}" keeps this file')


def servers_are_within(rule: Rule, limits: FileLimits) -> Iterator[tuple[KeyPath, str]]:
    """A rule of a file with ``limits.servers`` names its own."""
    if limits.servers and not rule.servers:
        yield ("servers",), f"required here, because limits.servers is {_list(limits.servers)}"
    for position, name in enumerate(rule.servers):
        if limits.servers and name not in limits.servers:
            yield ("servers", position), f'"{name}" is beyond limits.servers, {_list(limits.servers)}'


def databases_are_within(rule: Rule, limits: FileLimits) -> Iterator[tuple[KeyPath, str]]:
    """Left out, ``databases`` would mean all; physical replication reads all."""
    if "*" in limits.databases:
        return
    if not rule.deny and "physical" in rule.replication:
        yield (
            ("replication",),
            f"physical replication reads every database, limits.databases is {_list(limits.databases)}",
        )
    elif not rule.databases:
        yield ("databases",), f"required here, because limits.databases is {_list(limits.databases)}"
    yield from _names("databases", rule.databases, limits.databases)


def roles_are_within(rule: Rule, limits: FileLimits) -> Iterator[tuple[KeyPath, str]]:
    """Left out, ``roles`` would mean all; with ``roles_from`` it is the token that names them."""
    if rule.roles_from is not None and "*" not in limits.roles:
        yield ("roles_from",), f"a token may name any role, limits.roles is {_list(limits.roles)}"
    elif not rule.roles and "*" not in limits.roles:
        yield ("roles",), f"required here, because limits.roles is {_list(limits.roles)}"
    yield from _names("roles", rule.roles, limits.roles)


def privileged_roles_are_lent(rule: Rule, limits: FileLimits) -> Iterator[tuple[KeyPath, str]]:
    """A pattern in the limits lends no privilege, as a pattern in a rule gives none."""
    for position, name in enumerate(rule.roles):
        if rule.privileged and not set(name) & set("*?{}") and name not in limits.roles:
            yield ("roles", position), f'with privileged: true, "{name}" must itself be in limits.roles'


CHECKS: Final[tuple[_Check, ...]] = (
    servers_are_within,
    databases_are_within,
    roles_are_within,
    privileged_roles_are_lent,
)


def _names(key: str, names: Sequence[str], limit: Sequence[str]) -> Iterator[tuple[KeyPath, str]]:
    for position, name in enumerate(names):
        if not within(name, limit):
            yield (key, position), f'"{name}" is beyond limits.{key}, {_list(limit)}'


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"[{shown}, ...]" if len(names) > 5 else f"[{shown}]"
