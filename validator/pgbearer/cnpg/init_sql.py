"""The SQL that a Cluster runs once, as postgres, before people come: in itself, in a ConfigMap or in a Secret."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pgbearer.cnpg.beside import beside
from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.pods import at
from pgbearer.cnpg.stream import Manifest, listing, mapping, text
from pgbearer.config import KeyPath

__all__ = ["Sql", "init_sql"]

_INITDB: Final[KeyPath] = ("spec", "bootstrap", "initdb")
_STATEMENTS: Final[tuple[KeyPath, ...]] = (
    ("postInitSQL",),
    ("postInitApplicationSQL",),
    ("postInitTemplateSQL",),
    ("import", "postImportApplicationSQL"),
)
_REFERENCES: Final = ("postInitSQLRefs", "postInitApplicationSQLRefs", "postInitTemplateSQLRefs")
_KINDS: Final = {"configMapRefs": "ConfigMap", "secretRefs": "Secret"}


@dataclass(frozen=True, slots=True)
class Sql:
    """A text of it, and where: at `path` of `manifest`, which is the Cluster, or the object that it refers to."""

    manifest: Manifest
    path: KeyPath
    text: str | None
    """None if it is in what was not given."""
    where: str = ""
    """What the Cluster refers to, if `text` is None."""


def init_sql(manifests: Sequence[Manifest], cluster: Manifest) -> Iterator[Sql]:
    """All of it, of a Cluster; none of another object."""
    if not is_cluster(cluster):
        return
    for way in _STATEMENTS:
        place = (*_INITDB, *way)
        for index, statement in enumerate(listing(at(cluster, place[:-1]).get(str(place[-1])))):
            yield Sql(cluster, (*place, index), text(statement))
    for key in _REFERENCES:
        for kinds, kind in _KINDS.items():
            for index, reference in enumerate(map(mapping, listing(at(cluster, (*_INITDB, key)).get(kinds)))):
                name, wanted = text(reference.get("name")), text(reference.get("key"))
                there = _there(manifests, cluster, kind, name, wanted)
                missing = Sql(cluster, (*_INITDB, key, kinds, index), None, f"{wanted[:100]} of {kind}/{name[:100]}")
                yield there or missing


def _there(manifests: Sequence[Manifest], cluster: Manifest, kind: str, name: str, key: str) -> Sql | None:
    """What is kept at `key`; None if that is not given, or cannot be read."""
    for each in manifests:
        if each.kind != kind or each.group or each.metadata.get("name") != name or not beside(each, cluster):
            continue
        if kind == "Secret" and key in (given := mapping(each.value.get("stringData"))):
            return Sql(each, ("stringData", key), text(given[key]))
        data = mapping(each.value.get("data"))
        if key in data and (read := _decoded(text(data[key])) if kind == "Secret" else text(data[key])) is not None:
            return Sql(each, ("data", key), read)
    return None


def _decoded(value: str) -> str | None:
    try:
        return base64.b64decode("".join(value.split()), validate=True).decode("utf-8", "replace")
    except ValueError:
        return None
