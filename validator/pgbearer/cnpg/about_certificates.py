"""Checks on whose certificates a Cluster takes: who makes them is streaming_replica, and whoever a cert line names."""

from collections.abc import Callable, Iterator
from typing import Final

from pgbearer.cnpg.cluster import is_cluster
from pgbearer.cnpg.finding import Found
from pgbearer.cnpg.pods import at
from pgbearer.cnpg.stream import Manifest, text
from pgbearer.config import KeyPath

__all__ = ["CHECKS"]

_PATH: Final[KeyPath] = ("spec", "certificates")


def clients_are_certified_by_the_operator(manifest: Manifest) -> Iterator[Found]:
    """Lines for streaming_replica stand above all of a Cluster's, and ask for a certificate of this authority alone."""
    for key, secret in _first(manifest, "clientCASecret", "replicationTLSSecret"):
        message = f"whoever has the authority of {secret[:100]} copies the Cluster, and is whoever a cert line names"
        hint = "take it out: the operator makes an authority for this Cluster; or have one that certifies nobody else"
        yield Found("client_authority", (*_PATH, key), message, hint)


def server_is_certified_by_the_operator(manifest: Manifest) -> Iterator[Found]:
    """A token goes to whoever has a certificate for the server's name."""
    for key, secret in _first(manifest, "serverCASecret", "serverTLSSecret"):
        message = f"whoever has the authority of {secret[:100]} may be this server to its clients, who send tokens"
        yield Found("server_authority", (*_PATH, key), message, "see to it that it certifies only what you know")


CHECKS: Final[tuple[Callable[[Manifest], Iterator[Found]], ...]] = (
    clients_are_certified_by_the_operator,
    server_is_certified_by_the_operator,
)


def _first(manifest: Manifest, *keys: str) -> Iterator[tuple[str, str]]:
    """The first of `keys` that the Cluster has; the operator makes what is left out."""
    if is_cluster(manifest):
        there = at(manifest, _PATH)
        yield from [(key, text(there[key])) for key in keys if there.get(key)][:1]
