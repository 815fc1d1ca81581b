"""A file to settings that may be used, or to every reason why not."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Generic, Protocol, TypeVar, overload

from pgbearer.config.checks import CHECKS
from pgbearer.config.decode import decode
from pgbearer.config.permissions import read_trusted, untrusted
from pgbearer.config.problems import ConfigError, Problem
from pgbearer.config.settings import Settings
from pgbearer.config.yaml_file import Document, parse_yaml

__all__ = ["MAX_BYTES", "Checked", "Loaded", "Unchecked", "load"]

MAX_BYTES = 16 * 1024 * 1024
"""The largest file that is read; 10,000 rules take about 2 MiB."""


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


@dataclass(frozen=True, slots=True)
class Loaded(Generic[C_co]):
    """A file that may be used."""

    file: Path
    settings: Settings
    digest: str
    """SHA-256 of the file's bytes, hex."""
    warnings: tuple[Problem, ...]
    checked: C_co
    """What the `check` given to `load` returned, e.g. `pgbearer.policy.Compiled`."""


@overload
def load(path: Path, *, today: date | None = None) -> Loaded[Unchecked]: ...
@overload
def load(path: Path, check: Callable[[Settings], C_co], *, today: date | None = None) -> Loaded[C_co]: ...
def load(
    path: Path, check: Callable[[Settings], Checked] = lambda _: Unchecked(), *, today: date | None = None
) -> Loaded[Checked]:
    """Read, decode and check a file, reporting everything that is wrong with it at once.

    Args:
        path: the YAML file. It and its folder must belong to root or to this user, and not be writable by others.
        check: a further look at the settings, usually `pgbearer.policy.compile`. If the file already has problems it
            is given what could be decoded, so that its problems join the list.
        today: the day by which expired rules are reported (UTC); default: the current day.

    Raises:
        ConfigError: with every problem, if any is an error. Nothing is half loaded.
    """
    data, problems = _read(path)
    document = _parse(data)
    problems += document.problems
    decoded = decode(document)
    problems += decoded.problems
    checked: Checked = Unchecked()
    if decoded.settings is not None:
        found = [problem for run in CHECKS for problem in run(decoded.settings)]
        found += _untrusted_files(decoded.settings)
        found += _expired(decoded.settings, today or datetime.now(UTC).date())
        checked = check(decoded.settings)
        problems += _renumbered([*found, *checked.problems], decoded.rules)
    placed = _placed(problems, path, document)
    if decoded.settings is None or any(problem.is_error for problem in placed):
        raise ConfigError(str(path), placed)
    return Loaded(path, decoded.settings, hashlib.sha256(data).hexdigest(), placed, checked)


def _read(path: Path) -> tuple[bytes, list[Problem]]:
    try:
        data, reasons = read_trusted(path, MAX_BYTES)
    except OSError as error:
        raise ConfigError(
            str(path), [Problem(path=(), message=f"cannot be read: {error.strerror or error}")]
        ) from error
    return data, [_distrust((), reason) for reason in reasons]


def _distrust(path: tuple[str, ...], reason: str) -> Problem:
    return Problem(path=path, message=f"not trusted: {reason}", hint="chown root, chmod go-w")


def _parse(data: bytes) -> Document:
    try:
        return parse_yaml(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Document(problems=[Problem(path=(), line=line, column=1, message="not UTF-8")])


def _untrusted_files(settings: Settings) -> Iterable[Problem]:
    """Files that the settings name are held to the same rule as the settings themselves."""
    for name, issuer in settings.issuers.items():
        if issuer.ca_file is not None:
            path = ("issuers", name, "ca_file")
            try:
                yield from (_distrust(path, reason) for reason in untrusted(issuer.ca_file))
            except OSError as error:
                yield Problem(path=path, message=f"cannot be read: {error.strerror or error}")


def _expired(settings: Settings, today: date) -> Iterable[Problem]:
    for index, rule in enumerate(settings.rules):
        if rule.expires is not None and rule.expires < today:
            message = f'the rule "{rule.name}" has expired'
            yield Problem(path=("rules", index, "expires"), message=message, hint="remove it", severity="warning")


def _renumbered(problems: Iterable[Problem], rules: Sequence[int]) -> Iterable[Problem]:
    """Paths into the rules that decoded, as paths into the rules of the file."""
    for problem in problems:
        head, *rest = problem.path or ("",)
        if head == "rules" and rest and isinstance(rest[0], int):
            yield replace(problem, path=("rules", rules[rest[0]], *rest[1:]))
        else:
            yield problem


def _placed(problems: Iterable[Problem], path: Path, document: Document) -> tuple[Problem, ...]:
    """With file, line and column, in the order of the file."""
    placed = []
    for problem in problems:
        line, column = problem.line, problem.column
        if line is None:
            line, column = document.position(problem.path) or (None, None)
        placed.append(replace(problem, file=str(path), line=line, column=column))
    return tuple(sorted(placed, key=lambda problem: (problem.line or 0, problem.column or 0, problem.message)))
