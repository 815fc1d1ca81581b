"""Names in a spec that PostgreSQL, Kubernetes, the operator or pgbearer has taken already."""

import re
from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import urlsplit

__all__ = [
    "free_cluster",
    "free_database",
    "free_issuer",
    "free_namespace",
    "free_role",
    "given_role",
    "like",
    "no_truth",
    "printable",
    "some",
    "with_a_host",
    "without_reference",
]

T = TypeVar("T")

_OPERATORS: Final = r"cnpg_.*|postgres|streaming_replica"
"""Roles that are the operator's (pkg/postgres/roles.go of its source), and those that it logs in as itself."""
_ROLE: Final = re.compile(
    rf"pg_.*|{_OPERATORS}|pgbearer_.*|app|public|none|all|replication|sameuser|samerole|samegroup"
)
"""`app` owns the database: the operator makes it, with a password."""
_NOT_TO_BE_HAD: Final = re.compile(
    rf"{_OPERATORS}|pgbearer_.*|public|none|pg_(?:execute_server_program|(?:read|write)_server_files|database_owner)"
)
"""Whose members are superusers in effect, may run programs as the server (and so change who gets in), or nobody is."""
_DATABASE: Final = re.compile(r"template.*|pg_.*|postgres|all|replication|sameuser|samerole|samegroup")
_CLUSTER: Final = re.compile(r"(?:.*-)?pgbearer(?:-.*)?|mesh(?:-.*)?|.*-(?:asks|sidecar-metrics)")
"""A Cluster of such a name would have an object that is called as one of another Cluster's (`pgbearer.cnpg.called`)."""
_NAMESPACE: Final = re.compile(r"kube-.*|default|cnpg-system")
_ISSUER: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_HOST: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_ISSUERS: Final = frozenset({"corp", "cluster", "people", "workloads", "prod", "partner"})


def free_role(name: str) -> str:
    """A role that may be made; raises ValueError."""
    return _free(name, _ROLE)


def given_role(name: str) -> str:
    """A role that others may be members of; raises ValueError."""
    if _NOT_TO_BE_HAD.fullmatch(name):
        raise ValueError(f'"{name}" is not to be given away: whoever has it needs no token any more')
    return name


def free_cluster(name: str) -> str:
    """What a Cluster may be called, so that no object of two of them in a namespace is the same; raises ValueError."""
    if _CLUSTER.fullmatch(name):
        raise ValueError(
            f'"{name}" is not free: what belongs to another Cluster may be called so; '
            "name it without pgbearer, mesh at the beginning, and -asks or -sidecar-metrics at the end"
        )
    return name


def free_database(name: str) -> str:
    """A database that may be made; raises ValueError."""
    return _free(name, _DATABASE)


def free_namespace(name: str) -> str:
    """A namespace of which restricted pods may be asked; raises ValueError."""
    return _free(name, _NAMESPACE)


def free_issuer(name: str) -> str:
    """What an issuer may be called, which becomes part of a role's name; raises ValueError."""
    if not _ISSUER.fullmatch(name):
        raise ValueError(f"must match ^{_ISSUER.pattern}$")
    if name in _ISSUERS:
        raise ValueError(f'"{name}" is not free; name it otherwise')
    return name


def like(pattern: str, shown: str) -> Callable[[str], str]:
    """What has to be written in one way, which is told as people know it; what is returned raises ValueError."""
    wanted = re.compile(pattern)

    def judge(value: str) -> str:
        if not wanted.fullmatch(value):
            raise ValueError(f"must be {shown}")
        return value

    return judge


def no_truth(value: object) -> object:
    """What is no boolean, which Python takes for a number; raises ValueError."""
    if isinstance(value, bool):
        raise ValueError("must be a whole number")  # noqa: TRY004  pydantic collects ValueError only
    return value


def printable(name: str) -> str:
    """A name that is what it looks like: no control, no space but single ones within; raises ValueError."""
    if not name.isprintable() or name.split(" ") != name.split():
        raise ValueError("must be printable, with no space but single ones between words")
    return name


def without_reference(line: str) -> str:
    """A line of pg_hba in which the operator puts nothing; raises ValueError."""
    if "${" in line:
        raise ValueError("a spec has no podSelectorRefs, for ${podselector:...} to name")
    return line


def with_a_host(address: str) -> str:
    """An address with a host and a port that there can be; raises ValueError."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        good = bool(_HOST.fullmatch(host) or ":" in host) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError("must be https://HOST[:PORT]/...")
    return address


def some(values: tuple[T, ...]) -> tuple[T, ...]:
    """At least one, of which nothing else is said if one of them is wrong; raises ValueError."""
    if not values:
        raise ValueError("must have at least one")
    return values


def _free(name: str, taken: re.Pattern[str]) -> str:
    if taken.fullmatch(name):
        raise ValueError(f'"{name}" is not free; name it otherwise')
    return name
