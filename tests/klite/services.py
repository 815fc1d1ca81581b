"""Which pods a Service leads to, as a pod's /etc/hosts: there is no DNS, and no address of a Service's own."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.klite.cluster import Cluster

__all__ = ["LOOPBACK", "hosts"]

LOOPBACK: Final = "127.0.0.1"
Json = Mapping[str, Any]


def hosts(cluster: Cluster, namespace: str) -> str:
    """The file for a pod of `namespace`, as things are now: every name of a Service, once for each pod behind it.

    A Service that no pod is behind leads to the loopback, where pods without an address of their own are.
    """
    services = sorted(cluster.get("/api/v1/services")["items"], key=_key)
    pods = cluster.get("/api/v1/pods")["items"]
    lines = [
        f"{address} {' '.join(_names(service, namespace))}"
        for service in services
        for address in sorted(set(_behind(service, pods))) or [LOOPBACK]
    ]
    return "\n".join([f"{LOOPBACK} localhost", "::1 localhost", *lines]) + "\n"


def _key(service: Json) -> tuple[str, str]:
    return service["metadata"]["namespace"], service["metadata"]["name"]


def _names(service: Json, namespace: str) -> list[str]:
    there, name = _key(service)
    full = [f"{name}.{there}.svc", f"{name}.{there}.svc.cluster.local"]
    return [*full, name, f"{name}.{there}"] if there == namespace else full


def _behind(service: Json, pods: list[Json]) -> Iterator[str]:
    """The addresses of its pods that are ready; of all, if it says so, as for those that replicate."""
    spec = service["spec"]
    selector = (spec.get("selector") or {}).items()
    for pod in pods:
        metadata, status = pod["metadata"], pod.get("status", {})
        chosen = metadata["namespace"] == service["metadata"]["namespace"] and selector <= metadata["labels"].items()
        if selector and chosen and "podIP" in status and (spec.get("publishNotReadyAddresses") or _ready(status)):
            yield status["podIP"]


def _ready(status: Json) -> bool:
    return {"Ready": "True"}.items() <= {each["type"]: each["status"] for each in status.get("conditions", [])}.items()
