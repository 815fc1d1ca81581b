"""A Cluster's manifest to what decides who gets in: its lines between the operator's own, and its settings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pgbearer.cnpg import operator
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.force import Force, Placed, libraries
from pgbearer.cnpg.pods import decoded_patch, in_patch, serves
from pgbearer.cnpg.stream import Manifest, listing, mapping, text
from pgbearer.config import KeyPath
from pgbearer.hba import Parsed, parse

__all__ = ["Read", "is_cluster", "read_cluster"]

_POSTGRESQL: Final[KeyPath] = ("spec", "postgresql")
_LINES: Final[KeyPath] = (*_POSTGRESQL, "pg_hba")
_PARAMETERS: Final[KeyPath] = (*_POSTGRESQL, "parameters")
_PRELOAD: Final[KeyPath] = (*_POSTGRESQL, "shared_preload_libraries")
_IDENT: Final[KeyPath] = (*_POSTGRESQL, "pg_ident")


@dataclass(frozen=True, slots=True)
class Read:
    """What a Cluster has in force once it is applied, and what was wrong in reading it."""

    force: Force
    problems: tuple[Found, ...]


def is_cluster(manifest: Manifest) -> bool:
    """Whether it is one of CloudNativePG's."""
    return manifest.kind == "Cluster" and manifest.group == operator.GROUP


def read_cluster(manifest: Manifest) -> Read:
    """Read a Cluster, half finished or hostile as it may be; never raises for what it holds."""
    problems: list[Found] = []
    spec = _mapping(manifest.value.get("spec"), ("spec",), problems)
    postgresql = _mapping(spec.get("postgresql"), _POSTGRESQL, problems)
    parameters = {
        name: value
        for name, value in _mapping(postgresql.get("parameters"), _PARAMETERS, problems).items()
        if _is_text(value, (*_PARAMETERS, name), problems)
    }
    preload = tuple(value for _, value in _texts(postgresql.get("shared_preload_libraries"), _PRELOAD, problems))
    validators = libraries(parameters.get("oauth_validator_libraries", ""))
    idents = [value for _, value in _texts(postgresql.get("pg_ident"), _IDENT, problems)]
    force = Force(
        lines=(
            *(Placed(line, None) for line in parse("\n".join(operator.OWN_LINES)).lines),
            *_lines(postgresql.get("pg_hba"), validators or ("pgbearer",), problems),
            *_last(postgresql, problems),
        ),
        lines_path=_LINES,
        parameters=parameters,
        parameters_path=_PARAMETERS,
        preloaded=preload,
        preload_path=_PRELOAD,
        maps=frozenset(words[0].strip('"') for ident in idents if (words := ident.split())),
        endpoint_beside=_is_beside(manifest),
    )
    return Read(force, tuple(problems))


def _is_beside(manifest: Manifest) -> bool:
    """Whether the patch of the pods brings a service; one that cannot be read may."""
    if operator.POD_PATCH not in mapping(manifest.metadata.get("annotations")):
        return False
    patch = decoded_patch(manifest)
    return patch is None or any(serves(each) for each in in_patch(patch, "image"))


def _lines(value: object, validators: tuple[str, ...], problems: list[Found]) -> Iterator[Placed]:
    """An entry is a line, but nobody forbids several in one; what is wrong with the list of libraries is said once."""
    for path, entry in _texts(value, _LINES, problems):
        if entry.rstrip("\r\n").endswith("\\"):
            problems.append(Found("hba_continues", path, "ends in a backslash", "take the backslash out"))
        # for ${podselector:NAME} the operator writes a line for each pod: it stands for itself, as a host's name does,
        # and no line above but one for all addresses, or for the same pods, is taken to decide for it
        parsed = parse(entry, validators)
        problems.extend(_wrong(parsed, path))
        problems.extend(_vanishing(entry, parsed, path))
        yield from (Placed(line, path) for line in parsed.lines)


def _wrong(parsed: Parsed, path: KeyPath) -> Iterator[Found]:
    for each in parsed.wrong:
        hint = "mend it: with one wrong line, PostgreSQL uses none of the new ones"
        yield Found(
            "hba_syntax", path, f"{f'line {each.number} of it: ' if each.number > 1 else ''}{each.message}", hint
        )
    for number in parsed.includes:
        message = f"{f'line {number} of it ' if number > 1 else ''}reads a file of the server"
        yield Found("hba_elsewhere", path, message, "write the lines and names here")


def _vanishing(entry: str, parsed: Parsed, path: KeyPath) -> Iterator[Found]:
    """A reference that is no address, but a comment or whatever, or that takes other lines with it."""
    references = [found[0] for found in operator.REFERENCE.finditer(entry)]
    if references and [line.address for line in parsed.lines] != references:
        message = f"is written for each pod of {references[0][:100]}, and not at all where there is none"
        hint = "write ${podselector:NAME} as the address alone, and one line in an entry"
        yield Found("hba_vanishes", path, message, hint)


def _last(postgresql: Mapping[str, Any], problems: list[Found]) -> Iterator[Placed]:
    """The operator's own line for LDAP, if that is asked for, and its last."""
    if _mapping(postgresql.get("ldap"), (*_POSTGRESQL, "ldap"), problems):
        (line,) = parse('host all all 0.0.0.0/0 ldap ldapbasedn=""').lines  # specs of pkg/postgres: IPv4 alone
        yield Placed(line, (*_POSTGRESQL, "ldap"))
    (line,) = parse(operator.LAST_LINE).lines
    yield Placed(line, None)


def _mapping(value: object, path: KeyPath, problems: list[Found]) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, dict):
        problems.append(Found("shape", path, "must be a mapping", "see CloudNativePG's API reference"))
    return mapping(value)


def _texts(value: object, path: KeyPath, problems: list[Found]) -> Iterator[tuple[KeyPath, str]]:
    if value is not None and not isinstance(value, list | tuple):
        problems.append(Found("shape", path, "must be a list of text", "write each on a line of its own, after a dash"))
    for index, item in enumerate(listing(value)):
        if _is_text(item, (*path, index), problems):
            yield (*path, index), text(item)


def _is_text(value: object, path: KeyPath, problems: list[Found]) -> bool:
    if not isinstance(value, str):
        problems.append(Found("shape", path, "must be text", "quote it"))
    return isinstance(value, str)
