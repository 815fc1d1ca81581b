"""Checks on the SQL that a Cluster runs once, as postgres: whom it admits, and what it does to the server."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.init_sql import Sql, init_sql
from pgbearer.cnpg.sql_does import what_it_does
from pgbearer.cnpg.stream import Manifest
from pgbearer.cnpg.taken import given_role

__all__ = ["CHECKS"]

_About = Iterator[tuple[Manifest, Found]]
_NOBODYS: Final = "take it out, or see to it that nobody has that role by a token"


def sql_admits_nobody(manifests: Sequence[Manifest]) -> _About:
    """It may do everything: what its words show of that, and that it cannot be seen if it is not given."""
    for sql in _all(manifests):
        for found in _found(sql):
            yield sql.manifest, found


CHECKS: Final[tuple[Callable[[Sequence[Manifest]], _About], ...]] = (sql_admits_nobody,)


def _all(manifests: Sequence[Manifest]) -> Iterator[Sql]:
    """Each text once, though two Clusters refer to it."""
    seen: set[tuple[int, object]] = set()
    for cluster in filter(is_cluster, manifests):
        for sql in init_sql(manifests, cluster):
            if (place := (id(sql.manifest), sql.path)) not in seen:
                seen.add(place)
                yield sql


def _found(sql: Sql) -> Iterator[Found]:
    if sql.text is None:
        message = f"this SQL runs as postgres, and cannot be seen: {sql.where} is not among what was given"
        yield Found("sql_unseen", sql.path, message, "give that too")
        return
    try:
        did = what_it_does(sql.text)
    except ValueError as error:
        yield Found("sql_unseen", sql.path, f"this SQL cannot be looked through: {error}", "make it shorter")
        return
    for does in did:
        match does.kind:
            case "password":
                message = f"gives the role {does.role[:63]} a password, which stands here for all to read"
                yield Found("sql_password", sql.path, message, "take the password out")
            case "power":
                yield Found("sql_power", sql.path, f"makes {does.role[:63]} one that has {does.what}", _NOBODYS)
            case "member" if not _is_to_be_had(does.what):
                message = f"makes {does.role[:63]} a member of {does.what[:63]}"
                yield Found("sql_power", sql.path, message, _NOBODYS)
            case "unseen":
                message = f"this SQL cannot be looked through: {does.what}"
                yield Found("sql_unseen", sql.path, message, "write the statement out")
            case "server":
                message = f"changes {does.what[:100]}"
                yield Found("sql_server", sql.path, message, "take it out: what the Cluster says is to hold")


def _is_to_be_had(role: str) -> bool:
    try:
        given_role(role)
    except ValueError:
        return False
    return True
