"""Checks on lines of pg_ident.conf: who becomes whom without a token, by a certificate or a user of the pod."""

from collections.abc import Callable, Iterator
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

__all__ = ["CHECKS"]

_POSTGRESQL: Final[KeyPath] = ("spec", "postgresql")
_OPERATORS: Final = frozenset(line.options["map"] for line in parse("\n".join(operator.OWN_LINES)).lines)


def maps_of_the_operator_are_its_own(manifest: Manifest) -> Iterator[Found]:
    """Lines of a Cluster come below the operator's, and a map is all lines of its name: one more lets one more in."""
    for path, line in _lines(manifest):
        if line[0][0].text in _OPERATORS:
            message = f"the map {line[0][0].text} is the operator's: the line lets another be itself, or replicate"
            yield Found("map_of_operator", path, message, "take it out, or give the map a name of your own")


def maps_name_whom_they_admit(manifest: Manifest) -> Iterator[Found]:
    """A pattern of which nothing comes back in the role lets whoever fits it be that role (check_ident_usermap)."""
    for path, line in _lines(manifest):
        if len(line) != 3 or line[0][0].text in _OPERATORS:  # the server takes no other
            continue
        who, role = line[1][0], line[2][0]
        if who.text.startswith("/") and "\\1" not in role.text:
            message = f"whoever fits {who.text[:100]} may be {role.text[:63]}"
            yield Found("map_wide", path, message, "name who may, or take the role from the pattern: \\1")
        elif role.is_keyword("all") or role.text.startswith("/"):
            message = f"{who.text[:100]} may be every role that fits {role.text[:63]}"
            yield Found("map_wide", path, message, "name the role")


def maps_are_written_here(manifest: Manifest) -> Iterator[Found]:
    """A file that the server reads may have any line."""
    for path, line in _lines(manifest):
        named = any(not word.quoted and len(word.text) > 1 and word.text[0] == "@" for field in line for word in field)
        if named or (len(line) == 2 and line[0][0].text in ("include", "include_dir", "include_if_exists")):
            yield Found("hba_elsewhere", path, "reads a file of the server", "write the lines and names here")


CHECKS: Final[tuple[Callable[[Manifest], Iterator[Found]], ...]] = (
    maps_of_the_operator_are_its_own,
    maps_name_whom_they_admit,
    maps_are_written_here,
)


def _lines(manifest: Manifest) -> Iterator[tuple[KeyPath, list[Field]]]:
    """As the server reads them once the operator has put all entries below each other, each with where it begins."""
    if not is_cluster(manifest):
        return
    entries = [text(entry) for entry in listing(at(manifest, _POSTGRESQL).get("pg_ident"))]
    entry_of = [index for index, entry in enumerate(entries) for _ in entry.split("\n")]
    for number, words in logical_lines("\n".join(entries)):
        if line := fields(words):
            yield (*_POSTGRESQL, "pg_ident", entry_of[number - 1]), line
