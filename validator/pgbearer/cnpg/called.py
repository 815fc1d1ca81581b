"""What objects are called: after the Cluster of the spec, so that two of them can be in one namespace."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["CLUSTER", "SERVICE", "new_names", "refers", "secrets_of", "service_of", "trust_of"]

CLUSTER: Final = "pg"
"""The Cluster, in the manifests that come with pgbearer; what is its own has it in its name."""
SERVICE: Final = "pgbearer"
"""The service there, and what is its own."""
_KEYS: Final = frozenset({"name", "secretName", "serviceAccountName", "app.kubernetes.io/name"})
_WITHIN: Final = frozenset(
    {"containers", "initContainers", "ports", "volumes", "volumeMounts", "extensions", "groups", "roles"}
)
"""Lists of what has a name for its object alone."""


def service_of(cluster: str) -> str:
    """What the service of a Cluster is called; that of the one that comes with pgbearer keeps its name."""
    return SERVICE if cluster == CLUSTER else f"{cluster}-{SERVICE}"


def secrets_of(service: str) -> tuple[str, str]:
    """Secrets with the certificates of a service and of its Cluster, whoever makes them."""
    return f"{service}-service-tls", f"{service}-client-tls"


def trust_of(service: str) -> str:
    """The ConfigMap, of who has it, with the authorities that a service and its Cluster believe each other by."""
    return f"{service}-trust"


def new_names(objects: Iterable[Mapping[str, Any]], cluster: str) -> dict[str, str]:
    """Of shipped objects, and of what they mount and others make, each with what it is called for `cluster`."""
    old = [*(each["metadata"]["name"] for each in objects), *secrets_of(SERVICE), trust_of(SERVICE)]
    return {name: _new(name, cluster) for name in old}


def refers(key: str, within: str) -> bool:
    """Whether text at `key`, in a list or mapping at `within`, is the name of an object."""
    return key in _KEYS and not (key == "name" and within in _WITHIN)


def _new(name: str, cluster: str) -> str:
    """With the first of its words that is one of the two: ``mesh-pg``, ``pg-asks-pgbearer``."""
    words = name.split("-")
    for index, word in enumerate(words):
        if word in (CLUSTER, SERVICE):
            words[index] = cluster if word == CLUSTER else service_of(cluster)
            break
    return "-".join(words)
