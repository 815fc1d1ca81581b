"""Reads a spec: strictly decoded, and judged as a whole; every problem with its place."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Final

from pgbearer.cnpg.about_issuers import judge_issuers
from pgbearer.cnpg.spec import External, Identity, Spec
from pgbearer.config import ConfigError, KeyPath, Problem
from pgbearer.config.decode import decode
from pgbearer.config.yaml_file import Budget, Document, parse_yaml
from pgbearer.errors import UsageError

__all__ = ["MAX_BYTES", "Draft", "decode_spec", "identities", "judge_spec", "read_spec"]

MAX_BYTES: Final = 256 * 1024
"""Of a spec."""
_ONLY_SERVICE: Final = ("mesh", "workloads", "spire", "trust_config_map")
_STAND_INS: Final[Mapping[str, Any]] = {
    "version": 1,
    "issuer": "https://issuer.invalid",
    "audience": "db:stand-in",
    "roles": ({"name": "stand_in"},),
}
"""For required keys that are wrong, so that the others can be looked at. What has one is never rendered."""
_COMPARED: Final = (
    frozenset({"roles", "issuer", "other_issuers", "break_glass", "workloads", "spire"}),
    frozenset({"issuer", "profile", "audience", "scope", "clients", "other_issuers"}),
    frozenset({"mode", "mesh", "mesh_clients", "workloads", "spire", "trust_config_map"}),
    frozenset({"external", "certificates"}),
)
"""Keys that are held against each other: if one is wrong, nothing is said of how the others go with it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A spec as it is written, not judged as a whole."""

    spec: Spec
    """Whole, or what is good of it if there are `problems`: to be looked at then, and not to be rendered."""
    file: str
    document: Document
    problems: Sequence[Problem] = ()

    def can_tell(self, problem: Problem) -> bool:
        """Whether `problem` of `spec` is one of the file: not of a key, or for want of one, that is wrong already."""
        wrong = {each.path[0] for each in self.problems}
        return not wrong or wrong.isdisjoint({problem.path[0]}.union(*_compared_with(problem.path[0])))

    def placed(self, problems: Iterable[Problem]) -> list[Problem]:
        """Each of `problems` with its place in the file, in the order of the lines."""
        return _placed_all(problems, self.document, self.file)

    def refusal(self, problems: Iterable[Problem]) -> ConfigError:
        """The error with `problems`, each with its place in the file."""
        return _refusal(problems, self.document, self.file)


def read_spec(file: Path) -> Draft:
    """Read a spec, or as much of it as is good.

    Raises:
        ConfigError: nothing of it can be looked at any further.
        UsageError: there is no such file, or it is too long, or not UTF-8.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(error.strerror or "cannot be read", where=str(file)) from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"more than {MAX_BYTES // 1024} KiB", where=str(file))
    try:
        return decode_spec(data.decode("utf-8-sig"), str(file))
    except UnicodeDecodeError as error:
        raise UsageError(f"not UTF-8, at byte {error.start}", where=str(file)) from None


def decode_spec(text: str, file: str) -> Draft:
    """Decode the text of a spec, which messages call `file`; raises ConfigError as `read_spec`."""
    document = parse_yaml(text, Budget(nodes=20_000))
    decoded = decode(document, Spec)
    problems = [*document.problems, *decoded.problems]
    spec = decoded.settings if not problems else _good_part(document, problems)
    if spec is None:
        raise _refusal(problems, document, file)
    return Draft(spec, file, document, problems)


def _good_part(document: Document, problems: Sequence[Problem]) -> Spec | None:
    """The spec without the keys that are wrong; None if it is no mapping, or not all that is wrong is known."""
    if not isinstance(document.value, dict) or not all(problem.path for problem in problems):
        return None
    wrong = {problem.path[0] for problem in problems}
    good = {key: value for key, value in document.value.items() if key not in wrong}
    return decode(replace(document, value={**_STAND_INS, **good}, problems=[]), Spec).settings


def _compared_with(key: str | int) -> Iterator[frozenset[str]]:
    return (group for group in _COMPARED if key in group)


def judge_spec(spec: Spec) -> Iterator[Problem]:
    """What its parts are that do not go together. Pure."""
    yield from _of_mode(spec)
    yield from _of_roles(spec)
    yield from judge_issuers(spec)


def identities(spec: Spec) -> Iterator[tuple[KeyPath, Identity]]:
    """Every role that somebody gets, and where it is written."""
    groups: list[tuple[KeyPath, Iterable[Identity]]] = [(("roles",), spec.roles)]
    if spec.workloads:
        groups.append((("workloads", "roles"), spec.workloads.roles))
    if spec.spire:
        groups.append((("spire", "roles"), spec.spire.roles))
        if spec.spire.federated:
            groups.append((("spire", "federated", "roles"), spec.spire.federated.roles))
    for path, roles in groups:
        for index, role in enumerate(roles):
            yield (*path, index), role


def _of_mode(spec: Spec) -> Iterator[Problem]:
    if spec.mode == "sidecar":
        for key in _ONLY_SERVICE:
            if getattr(spec, key):
                yield Problem(path=(key,), message="goes with mode service alone", hint="take out mode, or this")
    if spec.workloads and spec.spire:
        message = "goes not with workloads: one line of pg_hba is for all workloads, and names one issuer"
        yield Problem(path=("spire",), message=message, hint="take out one of the two")
    if spec.mesh_clients and not spec.mesh:
        yield Problem(path=("mesh_clients",), message="there is no mesh", hint="say mesh: istio or mesh: linkerd")
    if spec.external != External() and spec.certificates != "external":
        yield Problem(path=("external",), message="nothing is external", hint="say certificates: external")


def _of_roles(spec: Spec) -> Iterator[Problem]:
    """Names that stand twice, and roles that are members of themselves, which PostgreSQL refuses."""
    seen = {spec.break_glass}
    members: dict[str, set[str]] = {}
    for path, role in identities(spec):
        if role.name in seen:
            yield Problem(path=(*path, "name"), message=f'"{role.name}" stands here twice')
        seen.add(role.name)
        if spec.break_glass in role.inherits:
            yield Problem(
                path=(*path, "inherits"), message=f'"{spec.break_glass}" is a superuser, for break-glass alone'
            )
        if len(set(role.inherits)) < len(role.inherits):
            yield Problem(path=(*path, "inherits"), message="one stands here twice")
        members.setdefault(role.name, set()).update(role.inherits)
    try:
        TopologicalSorter(members).prepare()
    except CycleError as error:
        message = f"members of each other: {', '.join(error.args[1][:10])}"
        yield Problem(path=("roles",), message=message)


def _refusal(problems: Iterable[Problem], document: Document, file: str) -> ConfigError:
    return ConfigError(file, _placed_all(problems, document, file))


def _placed_all(problems: Iterable[Problem], document: Document, file: str) -> list[Problem]:
    placed = [_placed(problem, document, file) for problem in problems]
    return sorted(placed, key=lambda problem: (problem.line or 0, problem.column or 0))


def _placed(problem: Problem, document: Document, file: str) -> Problem:
    line, column = (problem.line, problem.column) if problem.line else document.position(problem.path) or (None, None)
    return replace(problem, file=file, line=line, column=column)
