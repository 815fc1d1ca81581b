"""The roles of a Cluster, as far as manifests say: managed by it, objects of their own, or made by its first SQL."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pgbearer.cnpg import operator
from pgbearer.cnpg.beside import beside
from pgbearer.cnpg.init_sql import init_sql
from pgbearer.cnpg.pods import at
from pgbearer.cnpg.sql_does import POWERS, what_it_does
from pgbearer.cnpg.stream import Manifest, listing, mapping, text
from pgbearer.config import KeyPath

__all__ = ["MadeRole", "is_database_role", "reached", "roles_of"]


@dataclass(slots=True)
class MadeRole:
    """A role, and where it is made first."""

    manifest: Manifest
    path: KeyPath
    can_login: bool = True
    """False if it says that it cannot."""
    no_login: bool = False
    """True if it is known that it cannot: what the operator makes, unless it is told that it can."""
    powers: list[str] = field(default_factory=list)
    """Attributes, of `POWERS`."""
    inherits: list[str] = field(default_factory=list)
    """Roles that it is a member of."""


def is_database_role(manifest: Manifest) -> bool:
    """Whether it is a role that is an object of its own."""
    return manifest.kind == "DatabaseRole" and manifest.group == operator.GROUP


def roles_of(manifests: Sequence[Manifest], cluster: Manifest) -> dict[str, MadeRole]:
    """By name."""
    roles: dict[str, MadeRole] = {}
    for manifest, path, said in _written(manifests, cluster):
        login = said.get("login")
        made = MadeRole(manifest, path, login is not False, no_login=login is not True)
        role = roles.setdefault(text(said.get("name")), made)
        role.powers += [power for power in POWERS if said.get(power) is True]
        role.inherits += map(text, listing(said.get("inRoles")))
    for sql in init_sql(manifests, cluster):
        try:
            did = what_it_does(sql.text or "")
        except ValueError:
            continue  # of which about_sql.py tells
        for does in (each for each in did if each.role):
            role = roles.setdefault(does.role, MadeRole(sql.manifest, sql.path))
            if does.kind == "power":
                role.powers.append(does.what)
            elif does.kind == "member":
                role.inherits.append(does.what)
    return roles


def reached(name: str, roles: Mapping[str, MadeRole]) -> list[str]:
    """The role, and all that it is a member of, as far as is known."""
    names = dict.fromkeys([name])
    left = [name]
    while left:
        role = roles.get(left.pop())
        new = [each for each in role.inherits if each not in names] if role else []
        names.update(dict.fromkeys(new))
        left += new
    return list(names)


def _written(manifests: Sequence[Manifest], cluster: Manifest) -> Iterator[tuple[Manifest, KeyPath, Mapping[str, Any]]]:
    """Of two in one Cluster with one name, which the operator refuses, the last."""
    path: KeyPath = ("spec", "managed", "roles")
    listed = enumerate(map(mapping, listing(at(cluster, path[:-1]).get("roles"))))
    last = {text(role.get("name")): (index, role) for index, role in listed if role.get("ensure") != "absent"}
    yield from ((cluster, (*path, index), role) for index, role in last.values())
    for each in manifests:
        of = text(at(each, ("spec", "cluster")).get("name"))
        if is_database_role(each) and of and of == cluster.metadata.get("name") and beside(each, cluster):
            yield each, ("spec",), at(each, ("spec",))
