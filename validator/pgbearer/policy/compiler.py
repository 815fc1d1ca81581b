"""Settings to a policy: conditions are compiled and type-checked here, and every problem is found at once."""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pgbearer.config import ConfigError, KeyPath, Problem, Rule, RuleSession, Settings, TemplateError, parse_template
from pgbearer.config.workloads import WORKLOADS
from pgbearer.policy.acting import actors_of, asked_of_the_person
from pgbearer.policy.ask_terms import ask_terms
from pgbearer.policy.conditions import Condition, ConditionError, Environment
from pgbearer.policy.evaluate import Policy
from pgbearer.policy.index import Index
from pgbearer.policy.lint import lint
from pgbearer.policy.names import Glob, is_glob
from pgbearer.policy.rule import Names, PolicyRule
from pgbearer.policy.tiers import CriticalTerms
from pgbearer.wire import Replication

__all__ = ["Compiled", "compile"]


@dataclass(frozen=True, slots=True)
class Compiled:
    """What compiling gave: problems with paths into the settings, and a policy if none of them is an error."""

    problems: tuple[Problem, ...]
    _policy: Policy

    @property
    def policy(self) -> Policy:
        """The policy.

        Raises:
            ConfigError: some rule did not compile. There is no half policy: the missing rule might be a deny rule.
        """
        if any(problem.is_error for problem in self.problems):
            raise ConfigError("rules", self.problems)
        return self._policy


def compile(settings: Settings) -> Compiled:  # noqa: A001 -- read policy.compile()
    """Compile every rule. Never raises for what the settings hold: see `Compiled.problems`."""
    compiler = _Compiler(settings)
    rules = tuple(compiler.rule(index, rule) for index, rule in enumerate(settings.rules))
    problems = (*compiler.problems, *lint(settings, compiler.environments))
    critical = {name: terms for name, issuer in settings.issuers.items() if (terms := CriticalTerms.of(issuer))}
    fallbacks = {rule.name: rule for rule in rules if rule.fallback}
    return Compiled(problems, Policy(Index(rules), compiler.environments, critical, fallbacks))


class _Compiler:
    """Shares one environment between issuers that declare the same claims, and one program between equal conditions."""

    def __init__(self, settings: Settings) -> None:
        self.problems: list[Problem] = []
        self._session = settings.defaults.session
        self._workloads = frozenset(name for name, one in settings.issuers.items() if one.profile in WORKLOADS)
        self._deciders = settings.deciders
        shared: dict[tuple[tuple[str, str], ...], Environment] = {}
        self.environments: dict[str, Environment] = {}
        for name, issuer in settings.issuers.items():
            key = tuple(sorted(issuer.claims.items()))
            self.environments[name] = shared[key] = shared.get(key) or Environment(issuer.claims)
        self._programs: dict[tuple[int, str], Condition | ConditionError] = {}

    def rule(self, index: int, rule: Rule) -> PolicyRule:
        session, default = rule.session or RuleSession(), self._session
        critical = rule.tier == "critical"
        return PolicyRule(
            index=index,
            name=rule.name,
            deny=rule.deny,
            servers=frozenset(rule.servers),
            issuers=frozenset(rule.issuers),
            databases=_names(rule.databases, everything=rule.deny and not rule.databases),
            roles=_names(rule.roles, everything=rule.deny and not rule.roles and rule.roles_from is None),
            roles_from=rule.roles_from.claim if rule.roles_from else None,
            strip=rule.roles_from.strip if rule.roles_from else "",
            any_role=frozenset(rule.any_role),
            all_roles=frozenset(rule.all_roles),
            any_group=frozenset(rule.any_group),
            any_organization=frozenset(rule.any_organization),
            actors=actors_of(rule),
            networks=tuple(_networks(rule)),
            conditions=None if rule.when is None else self._conditions(("rules", index, "when"), rule.when, rule),
            asks=asked_of_the_person(rule.when) if rule.deny else frozenset(),
            critical=critical,
            until=session.until or ("token" if critical else default.until),
            max=session.max or default.max,
            ends_with_token=frozenset() if session.until else self._workloads,
            privileged=rule.privileged,
            replication=frozenset(Replication(kind) for kind in rule.replication),
            ends=_ends(rule),
            ask=ask_terms(rule, self._deciders),
            fallback=rule.fallback,
            source=rule,
        )

    def _conditions(self, path: KeyPath, text: str, rule: Rule) -> Mapping[str, Condition]:
        """The condition for each issuer that the rule holds for; every one must declare what it uses."""
        conditions: dict[str, Condition] = {}
        errors: dict[str, Problem] = {}
        for issuer in rule.issuers or self.environments:
            if issuer not in self.environments:
                continue  # reported by pgbearer.config.checks.references_exist
            result = self._program(self.environments[issuer], text)
            if isinstance(result, Condition):
                conditions[issuer] = result
            else:
                problem = _problem(path, result, issuer)
                errors[problem.message] = problem
        self.problems.extend(errors.values())
        return conditions

    def _program(self, environment: Environment, text: str) -> Condition | ConditionError:
        key = (id(environment), text)
        if key not in self._programs:
            try:
                self._programs[key] = environment.compile(text)
            except ConditionError as error:
                self._programs[key] = error
        return self._programs[key]


def _problem(path: KeyPath, error: ConditionError, issuer: str) -> Problem:
    if error.name and error.name.startswith("claims."):
        claim = error.name.removeprefix("claims.")
        hint = error.hint or f"declare it under issuers.{issuer}.claims, or name the issuers of the rule"
        return Problem(path=path, message=f'issuer "{issuer}" declares no claim "{claim}"', hint=hint)
    return Problem(path=path, message=str(error), hint=error.hint)


def _names(names: tuple[str, ...], *, everything: bool) -> Names:
    templates = []
    for name in names:
        if "{" in name or "}" in name:
            try:
                templates.append(parse_template(name))
            except TemplateError:
                continue  # reported by pgbearer.config.checks.templates_are_known
    plain = [name for name in names if "{" not in name and "}" not in name]
    return Names(
        exact=frozenset(name for name in plain if not is_glob(name)),
        globs=tuple(Glob.of(name) for name in plain if is_glob(name)),
        templates=tuple(templates),
        everything=everything,
    )


def _networks(rule: Rule) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for text in rule.from_:
        try:
            yield ipaddress.ip_network(text)
        except ValueError:
            continue  # reported by pgbearer.config.checks.networks_are_networks


def _ends(rule: Rule) -> int | None:
    """The midnight (UTC) that ends the day of ``expires``, epoch seconds."""
    if rule.expires is None:
        return None
    midnight = datetime.combine(rule.expires, datetime.min.time(), tzinfo=UTC)
    return int((midnight + timedelta(days=1)).timestamp())
