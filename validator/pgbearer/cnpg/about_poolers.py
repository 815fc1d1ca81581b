"""Checks on Poolers, which are a door of their own: PgBouncer asks nobody for a token, and logs in by itself.

It presents the certificate of cnpg_pooler_pgbouncer on every connection that it makes. Whoever comes through it as that
role reads the passwords of all (user_search, which the operator makes).
"""

from collections.abc import Callable, Iterator
from typing import Final

from pgbearer.cnpg import operator
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.pods import at
from pgbearer.cnpg.stream import Manifest, listing, text
from pgbearer.config import KeyPath
from pgbearer.hba import parse

__all__ = ["CHECKS"]

_PGBOUNCER: Final[KeyPath] = ("spec", "pgbouncer")
_ASKS_NOTHING: Final = frozenset({"trust", "any"})  # auth_type of pgbouncer.ini


def nobody_is_pooled(manifest: Manifest) -> Iterator[Found]:
    """PgBouncer has no OAuth: it takes passwords of the Cluster's roles, past every line of its pg_hba."""
    if _is_pooler(manifest):
        message = "PgBouncer takes no tokens, and lets in whose password it knows"
        yield Found("pooler", ("spec",), message, "pool in the application, or keep it for roles that have a password")


def poolers_trust_nobody(manifest: Manifest) -> Iterator[Found]:
    """Its own lines come above the operator's, which ask for a password."""
    if not _is_pooler(manifest):
        return
    kind = text(at(manifest, (*_PGBOUNCER, "parameters")).get("auth_type")).strip()
    if kind in _ASKS_NOTHING:
        path: KeyPath = (*_PGBOUNCER, "parameters", "auth_type")
        yield Found("pooler_trust", path, f"auth_type = {kind} lets in whoever says a name", "take it out")
    for index, entry in enumerate(map(text, listing(at(manifest, _PGBOUNCER).get("pg_hba")))):
        if any(line.method == "trust" for line in parse(entry).lines):
            path = (*_PGBOUNCER, "pg_hba", index)
            yield Found("pooler_trust", path, "trust lets in whoever says a name", "use cert, or reject")


def poolers_read_passwords_as_the_operator_says(manifest: Manifest) -> Iterator[Found]:
    """With these the operator leaves it to you to make the role, the function and the line by which PgBouncer asks."""
    for key in ("authQuerySecret", "authQuery") if _is_pooler(manifest) else ():
        if at(manifest, _PGBOUNCER).get(key):
            message = "another role than the operator's own reads everybody's password, by this"
            hint = "take it out; if you cannot, see to it that nobody else logs in as that role"
            yield Found("pooler_reader", (*_PGBOUNCER, key), message, hint)
            return


CHECKS: Final[tuple[Callable[[Manifest], Iterator[Found]], ...]] = (
    nobody_is_pooled,
    poolers_trust_nobody,
    poolers_read_passwords_as_the_operator_says,
)


def _is_pooler(manifest: Manifest) -> bool:
    return manifest.kind == "Pooler" and manifest.group == operator.GROUP
