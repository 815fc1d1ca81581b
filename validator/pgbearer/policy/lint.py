"""Rules that are allowed but probably not meant: each finding is a warning, and each habit a small function."""

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

from pgbearer.config import Problem, Rule, Settings
from pgbearer.policy.conditions import ConditionError, Environment
from pgbearer.policy.names import Glob, is_glob
from pgbearer.policy.source import Source, read_source

__all__ = ["LINTS", "lint"]


def lint(settings: Settings, environments: Mapping[str, Environment]) -> Iterator[Problem]:
    """Warnings about rules; paths as in the settings."""
    for check in LINTS:
        yield from check(settings, environments)


def same_twice(settings: Settings, _: Mapping[str, Environment]) -> Iterator[Problem]:
    """Two rules that say the same under two names: one of them will be forgotten when the other is changed."""
    seen: dict[str, str] = {}
    for index, rule in enumerate(settings.rules):
        key = rule.model_dump_json(exclude={"name", "ticket"})
        if key in seen:
            yield _warning(index, "name", f'says the same as the rule "{seen[key]}"')
        seen.setdefault(key, rule.name)


def never_reached(settings: Settings, _: Mapping[str, Environment]) -> Iterator[Problem]:
    """An allow rule all of whose logins a deny rule refuses."""
    denials = [rule for rule in settings.rules if rule.deny and _is_for_everyone(rule)]
    for index, rule in enumerate(settings.rules):
        covering = next((deny for deny in denials if _covers(deny, rule)), None) if not rule.deny else None
        if covering:
            yield _warning(
                index, "name", f'never allows anything: the deny rule "{covering.name}" refuses all it matches'
            )


def trusts_the_unverified(settings: Settings, _: Mapping[str, Environment]) -> Iterator[Problem]:
    """An allow rule that hangs on what the client merely claims."""
    for index, rule, source in _sources(settings):
        if source.unverified and not rule.deny:
            yield _warning(
                index, "when", "request.unverified.* is whatever the client says; an allow rule should not hang on it"
            )


def pattern_floats(settings: Settings, environments: Mapping[str, Environment]) -> Iterator[Problem]:
    """``matches()`` finds its pattern anywhere in the text, which is seldom meant."""
    environment = next(iter(environments.values()))
    for index, _, source in _sources(settings):
        for literal in source.patterns:
            try:
                pattern = environment.pattern(literal)
            except ConditionError:
                continue  # an error of the condition itself
            if not _is_anchored(pattern):
                yield _warning(index, "when", f"{literal} matches anywhere in the text", 'write it as "^(...)$"')


def privilege_is_unreachable(settings: Settings, _: Mapping[str, Environment]) -> Iterator[Problem]:
    """``privileged`` lifts exact names only."""
    for index, rule in enumerate(settings.rules):
        if rule.privileged and not any(not is_glob(name) and "{" not in name for name in rule.roles):
            yield _warning(index, "privileged", "has no effect: the rule names no role exactly")


LINTS: Final[tuple[Callable[[Settings, Mapping[str, Environment]], Iterator[Problem]], ...]] = (
    same_twice,
    never_reached,
    trusts_the_unverified,
    pattern_floats,
    privilege_is_unreachable,
)


def _warning(index: int, key: str, message: str, hint: str | None = None) -> Problem:
    return Problem(path=("rules", index, key), message=message, hint=hint, severity="warning")


def _sources(settings: Settings) -> Iterator[tuple[int, Rule, Source]]:
    for index, rule in enumerate(settings.rules):
        if rule.when is not None:
            try:
                yield index, rule, read_source(rule.when)
            except ConditionError:
                continue  # an error of the condition itself


def _is_anchored(pattern: str) -> bool:
    ends = pattern.startswith(("^", r"\A")) and pattern.endswith(("$", r"\z"))
    return ends and ("|" not in pattern or re.fullmatch(r"\^\([^()]*\)\$", pattern) is not None)


def _is_for_everyone(deny: Rule) -> bool:
    return not (deny.any_role or deny.all_roles or deny.any_group or deny.when or deny.expires or deny.roles_from)


def _covers(deny: Rule, rule: Rule) -> bool:
    return (
        _within(rule.servers, deny.servers)
        and _within(rule.issuers, deny.issuers)
        and _names_within(rule.databases, deny.databases)
        and (_names_within(rule.roles, deny.roles) if rule.roles_from is None else not deny.roles)
        and _networks_within(rule.from_, deny.from_)
        and _within(rule.replication, deny.replication)
    )


def _within(inner: Collection[str], outer: Collection[str]) -> bool:
    """Whether all that `inner` means is meant by `outer`; empty means everything."""
    return not outer or (bool(inner) and set(inner) <= set(outer))


def _names_within(inner: Collection[str], outer: Collection[str]) -> bool:
    if not outer or "*" in outer:
        return True
    globs = [Glob.of(name) for name in outer]
    return bool(inner) and all(
        name in outer or (not is_glob(name) and any(glob.matches(name) for glob in globs)) for name in inner
    )


def _networks_within(inner: Collection[str], outer: Collection[str]) -> bool:
    if not outer or not inner:
        return not outer
    try:
        outers = [ipaddress.ip_network(text) for text in outer]
        return all(any(_subnet(ipaddress.ip_network(text), net) for net in outers) for text in inner)
    except ValueError:
        return False  # reported by pgbearer.config.checks.networks_are_networks


def _subnet(
    inner: ipaddress.IPv4Network | ipaddress.IPv6Network, outer: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> bool:
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    return (
        isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)
    )
