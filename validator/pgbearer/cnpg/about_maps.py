"""Checks on lines of pg_ident.conf: who becomes whom without a token, by a certificate or a user of the pod."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pgbearer.cnpg import operator
from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.pods import at
from pgbearer.cnpg.stream import Manifest, listing, text
from pgbearer.config import KeyPath
from pgbearer.hba import parse
from pgbearer.hba.line import Field
from pgbearer.hba.tokens import fields, logical_lines

__all__ = ["CHECKS", "OPERATORS", "MapLine", "lines_of"]

_POSTGRESQL: Final[KeyPath] = ("spec", "postgresql")
OPERATORS: Final = frozenset(line.options["map"] for line in parse("\n".join(operator.OWN_LINES)).lines)
"""Maps by which the operator logs in as itself."""
_FIELDS: Final = 3
"""A map, who somebody is, and the role; what follows them the server does not look at (parse_ident_line of hba.c)."""


@dataclass(frozen=True, slots=True)
class MapLine:
    """A line, as the server splits it, and where it begins."""

    path: KeyPath
    fields: Sequence[Field]
    of_the_operator: bool
    """Whether it is in a map by which the operator logs in as itself."""

    @property
    def is_whole(self) -> bool:
        """Whether the server takes it, as far as its fields say."""
        return len(self.fields) >= _FIELDS and all(len(field) == 1 for field in self.fields[:_FIELDS])

    @property
    def reads_a_file(self) -> bool:
        """Whether lines or names of it stand in a file of the server."""
        return (
            len(self.fields) == 2 and self.fields[0][0].text in ("include", "include_dir", "include_if_exists")
        ) or any(
            not word.quoted and len(word.text) > 1 and word.text[0] == "@" for field in self.fields for word in field
        )


def maps_are_whole(lines: Sequence[MapLine]) -> Iterator[Found]:
    """With one wrong line, PostgreSQL uses none of the new ones, as with pg_hba.conf."""
    for line in lines:
        if not line.is_whole and not line.reads_a_file:
            hint = "write MAP, who somebody is, and the role, each once"
            yield Found("hba_syntax", line.path, "the server does not take the line, and keeps all old ones", hint)


def maps_of_the_operator_are_its_own(lines: Sequence[MapLine]) -> Iterator[Found]:
    """Lines of a Cluster come below the operator's, and a map is all lines of its name: one more lets one more in."""
    for line in lines:
        if line.of_the_operator:
            message = f"the map {line.fields[0][0].text} is the operator's: the line lets another be it, or replicate"
            yield Found("map_of_operator", line.path, message, "take it out, or give the map a name of your own")


def maps_name_whom_they_admit(lines: Sequence[MapLine]) -> Iterator[Found]:
    """A pattern of which nothing comes back in the role lets whoever fits it be that role (check_ident_usermap)."""
    for line in lines:
        if not line.is_whole or line.of_the_operator:
            continue
        who, role = line.fields[1][0], line.fields[2][0]
        if who.text.startswith("/") and "\\1" not in role.text:
            message = f"whoever fits {who.text[:100]} may be {role.text[:63]}"
            yield Found("map_wide", line.path, message, "name who may, or take the role from the pattern: \\1")
        elif role.is_keyword("all") or role.text.startswith("/"):
            message = f"{who.text[:100]} may be every role that fits {role.text[:63]}"
            yield Found("map_wide", line.path, message, "name the role")


def maps_are_written_here(lines: Sequence[MapLine]) -> Iterator[Found]:
    """A file that the server reads may have any line."""
    for line in lines:
        if line.reads_a_file:
            yield Found("hba_elsewhere", line.path, "reads a file of the server", "write the lines and names here")


CHECKS: Final[tuple[Callable[[Sequence[MapLine]], Iterator[Found]], ...]] = (
    maps_are_whole,
    maps_of_the_operator_are_its_own,
    maps_name_whom_they_admit,
    maps_are_written_here,
)


def lines_of(manifest: Manifest) -> list[MapLine]:
    """Of a Cluster, as the server reads them once the operator has put all entries below each other."""
    if not is_cluster(manifest):
        return []
    entries = [text(entry) for entry in listing(at(manifest, _POSTGRESQL).get("pg_ident"))]
    entry_of = [index for index, entry in enumerate(entries) for _ in entry.split("\n")]
    return [
        MapLine((*_POSTGRESQL, "pg_ident", entry_of[number - 1]), line, line[0][0].text in OPERATORS)
        for number, words in logical_lines("\n".join(entries))
        if (line := fields(words))
    ]
