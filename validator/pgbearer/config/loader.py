"""Files to settings that may be used, or to every reason why not."""

import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar, overload

from pgbearer.config.checks import CHECKS
from pgbearer.config.decode import Decoded, decode
from pgbearer.config.limits import beyond_limits
from pgbearer.config.permissions import HOW_TO_MEND, untrusted
from pgbearer.config.problems import ConfigError, KeyPath, Problem
from pgbearer.config.rules import PolicyFile, Rule
from pgbearer.config.section import Section
from pgbearer.config.settings import Settings
from pgbearer.config.sources import Source, read_sources
from pgbearer.config.yaml_file import MAX_ITEMS, Budget, Document, parse_yaml

__all__ = ["Checked", "Loaded", "Origin", "Unchecked", "load"]


class Checked(Protocol):
    """What a further look at the settings gives: at least the problems it found, paths as in the settings."""

    @property
    def problems(self) -> Sequence[Problem]:
        """Errors and warnings, in any order."""
        ...


@dataclass(frozen=True, slots=True)
class Unchecked:
    """No further look was asked for."""

    problems: tuple[Problem, ...] = ()


C_co = TypeVar("C_co", bound=Checked, covariant=True)
S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a rule stands, and who keeps it; `line` counts from 1, `owner` is None in pgbearer.yaml itself."""

    file: Path
    line: int
    owner: str | None


@dataclass(frozen=True, slots=True)
class Loaded(Generic[C_co]):
    """Files that may be used."""

    file: Path
    """pgbearer.yaml."""
    settings: Settings
    """Of all files: `rules` holds those of pgbearer.yaml and then those of ``policy.d``, by file name."""
    digest: str
    """SHA-256 over the bytes of all files, hex; see `pgbearer.config.sources.Sources.digest`."""
    warnings: tuple[Problem, ...]
    checked: C_co
    """What the `check` given to `load` returned, e.g. `pgbearer.policy.Compiled`."""
    origins: tuple[Origin, ...] = ()
    """Of each of ``settings.rules``."""


@overload
def load(path: Path, *, today: date | None = None, in_force: bool = True) -> Loaded[Unchecked]: ...
@overload
def load(
    path: Path, check: Callable[[Settings], C_co], *, today: date | None = None, in_force: bool = True
) -> Loaded[C_co]: ...
def load(
    path: Path,
    check: Callable[[Settings], Checked] = lambda _: Unchecked(),
    *,
    today: date | None = None,
    in_force: bool = True,
) -> Loaded[Checked]:
    """Read, decode and check a file and ``policy.d/*.yaml`` beside it, reporting all that is wrong at once.

    Args:
        path: pgbearer.yaml. It, the other files and their folders must belong to root or to this user, and not be
            writable by others.
        check: a further look at the settings, usually `pgbearer.policy.compile`. If the files already have problems it
            is given what could be decoded, so that its problems join the list.
        today: the day by which expired rules are reported (UTC); default: the current day.
        in_force: False for files that only questions are answered from, such as a checkout that a team can write: who
            could have written them is then a warning, and so is that the files they name (an authority, a secret) are
            not on this machine. Nobody may be let in by what was loaded so.

    Raises:
        ConfigError: with every problem, if any is an error. Nothing is half loaded.
    """
    sources = read_sources(path)
    budget = Budget()
    main = _Part.of(sources.main, Settings, budget)
    others = [_Part.of(source, PolicyFile, budget) for source in sources.others]
    parts: list[_Part[Any]] = [main, *others]
    problems = [*sources.problems, *(problem for part in parts for problem in part.problems())]
    settings = main.decoded.settings
    if sum(len(part.rules) for part in parts) > MAX_ITEMS:
        problems.append(Problem(path=(), file=str(path), message=f"more than {MAX_ITEMS} rules, all files together"))
        settings = None
    checked: Checked = Unchecked()
    if settings is not None:
        for other in others:
            if other.decoded.settings is not None:
                problems += other.placed(beyond_limits(other.decoded.settings, tuple(settings.servers)))
        settings = settings.model_copy(update={"rules": tuple(rule for part in parts for rule in part.rules)})
        found = [problem for run in CHECKS for problem in run(settings)]
        found += _untrusted_files(settings)
        found += _expired(settings, today or datetime.now(UTC).date())
        checked = check(settings)
        found += checked.problems
        whole = all(part.is_whole for part in parts)
        problems += _sorted_out([problem for problem in found if whole or not problem.of_all_rules], parts)
    if not in_force:
        problems = [replace(one, severity="warning") if one.about_trust or one.about_files else one for one in problems]
    problems.sort(key=lambda problem: _order(problem, path))
    if settings is None or any(problem.is_error for problem in problems):
        raise ConfigError(str(path), problems)
    origins = tuple(origin for part in parts for origin in part.origins())
    return Loaded(path, settings, sources.digest, tuple(problems), checked, origins)


@dataclass(frozen=True, slots=True)
class _Part(Generic[S]):
    """One file, decoded as far as it could be."""

    source: Source
    document: Document
    decoded: Decoded[S]

    @classmethod
    def of(cls, source: Source, kind: type[S], budget: Budget) -> "_Part[S]":
        if source.data is None:
            return cls(source, Document(), Decoded(None, (), ()))
        document = _parse(source.data, budget)
        if budget.problems <= 0:
            return cls(source, document, Decoded(None, (), ()))
        decoded = decode(document, kind)
        budget.problems -= len(decoded.problems)
        return cls(source, document, decoded)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Those that decoded."""
        settings = self.decoded.settings
        return settings.rules if isinstance(settings, Settings | PolicyFile) else ()

    @property
    def is_whole(self) -> bool:
        """Whether none of its rules is left out."""
        return self.decoded.settings is not None and len(self.rules) == len(_listed(self.document.value))

    def problems(self) -> list[Problem]:
        """What reading and decoding found."""
        found = [*self.source.problems, *self.document.problems, *self.decoded.problems]
        return [self._at(problem) for problem in found]

    def placed(self, problems: Iterable[Problem]) -> Iterable[Problem]:
        """Problems of the rules that decoded, as problems of the file."""
        for problem in problems:
            match problem.path:
                case ("rules", int(index), *rest):
                    yield self._at(replace(problem, path=("rules", self.decoded.rules[index], *rest)))
                case _:
                    yield self._at(problem)

    def origins(self) -> Iterable[Origin]:
        """Where each rule stands."""
        owner = self.decoded.settings.owner if isinstance(self.decoded.settings, PolicyFile) else None
        for index in self.decoded.rules:
            line, _ = self.document.position(("rules", index)) or (1, 1)
            yield Origin(self.source.path, line, owner)

    def _at(self, problem: Problem) -> Problem:
        line, column = problem.line, problem.column
        if line is None:
            line, column = self.document.position(problem.path) or (None, None)
        return replace(problem, file=str(self.source.path), line=line, column=column)


def _listed(value: Any) -> tuple[Any, ...]:
    """The rules of a file, whatever they are."""
    rules = value.get("rules") if isinstance(value, dict) else None
    return rules if isinstance(rules, tuple) else ()


def _parse(data: bytes, budget: Budget) -> Document:
    try:
        return parse_yaml(data.decode("utf-8"), budget)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Document(problems=[Problem(path=(), line=line, column=1, message="not UTF-8")])


def _untrusted_files(settings: Settings) -> Iterable[Problem]:
    """Files that the settings name are held to the same rule as the settings themselves."""
    for path, file in _named_files(settings):
        try:
            reasons = tuple(untrusted(file))
            for reason in reasons:
                message = f"not trusted: {reason}"
                yield Problem(
                    path=path,
                    message=message,
                    hint=HOW_TO_MEND,
                    about_trust=True,
                )
            if not reasons and path[-1] in _SECRETS and file.stat().st_mode & stat.S_IROTH:
                message = "everybody on this machine can read it"
                yield Problem(path=path, message=message, hint="chmod o-r", severity="warning")
        except OSError as error:
            message = f"{file} cannot be read: {error.strerror or error}"
            yield Problem(path=path, message=message, about_files=True)


_SECRETS: Final = frozenset(
    {"client_secret_file", "password_file", "secret_file", "bearer_file", "client_key_file", "key_file"}
)


def _named_files(settings: Settings) -> Iterable[tuple[KeyPath, Path]]:
    for name, issuer in settings.issuers.items():
        if issuer.ca_file is not None:
            yield ("issuers", name, "ca_file"), issuer.ca_file
        if issuer.spiffe is not None and issuer.spiffe.bundle_file is not None:
            yield ("issuers", name, "spiffe", "bundle_file"), issuer.spiffe.bundle_file
        if issuer.spiffe is not None and issuer.spiffe.workload_api is not None:  # itself open to all
            yield ("issuers", name, "spiffe", "workload_api"), issuer.spiffe.workload_api.parent
        if issuer.introspection is not None:
            yield ("issuers", name, "introspection", "client_secret_file"), issuer.introspection.client_secret_file
    for name, decider in settings.deciders.items():
        yield from _files_in(decider, ("deciders", name))
    yield from _files_in(settings.listen, ("listen",))


def _files_in(section: Section, above: KeyPath) -> Iterable[tuple[KeyPath, Path]]:
    """Every file that a section or one inside it names."""
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, Path):
            yield (*above, key), value
        elif isinstance(value, Section):
            yield from _files_in(value, (*above, key))


def _expired(settings: Settings, today: date) -> Iterable[Problem]:
    for name, issuer in settings.issuers.items():
        if issuer.until is not None and issuer.until < today:
            message = f'issuer "{issuer.replaces}" has been replaced, its tokens are refused'
            path = ("issuers", name, "until")
            hint = f'remove the issuer "{issuer.replaces}", `replaces` and `until`'
            yield Problem(path=path, message=message, hint=hint, severity="warning")
    for index, rule in enumerate(settings.rules):
        if rule.expires is not None and rule.expires < today:
            message = f'the rule "{rule.name}" has expired'
            yield Problem(path=("rules", index, "expires"), message=message, hint="remove it", severity="warning")


def _sorted_out(problems: Iterable[Problem], parts: Sequence[_Part[Any]]) -> Iterable[Problem]:
    """Problems of the settings as a whole, each as a problem of the file that it is in."""
    places = [(part, index) for part in parts for index in range(len(part.rules))]
    for problem in problems:
        match problem.path:
            case ("rules", int(index), *rest):
                part, local = places[index]
                yield from part.placed([replace(problem, path=("rules", local, *rest))])
            case _:
                yield from parts[0].placed([problem])


def _order(problem: Problem, main: Path) -> tuple[object, ...]:
    """pgbearer.yaml first, then file by file, each from its beginning."""
    return (problem.file != str(main), problem.file, problem.line or 0, problem.column or 0, problem.message)
