"""Where a pod of the tests' own kubelet finds a Service: at the pods behind it, as they are now."""

from typing import Any, cast

import pytest

from tests.klite.cluster import Cluster
from tests.klite.services import hosts

Json = dict[str, Any]


def service(name: str, namespace: str = "here", **spec: Any) -> Json:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"selector": {"app": "pg"}, **spec}}


def pod(address: str, *, ready: bool = True, app: str = "pg", namespace: str = "here") -> Json:
    conditions = [{"type": "Ready", "status": str(ready)}]
    metadata = {"name": address, "namespace": namespace, "labels": {"app": app, "more": "labels"}}
    return {"metadata": metadata, "status": {"podIP": address, "conditions": conditions}}


class Known:
    """An API server that knows these."""

    def __init__(self, services: list[Json], pods: list[Json]) -> None:
        self._known = {"/api/v1/services": services, "/api/v1/pods": pods}

    def get(self, path: str) -> Json:
        return {"items": self._known[path]}


def lines(services: list[Json], *pods: Json) -> list[str]:
    return hosts(cast("Cluster", Known(services, list(pods))), "here").splitlines()[2:]


@pytest.mark.parametrize(
    "other", [pod("10.0.0.3", ready=False), pod("10.0.0.3", app="x"), pod("10.0.0.3", namespace="there")]
)
def test_a_service_leads_to_its_pods_that_are_ready(other: Json) -> None:
    names = "pg-rw.here.svc pg-rw.here.svc.cluster.local pg-rw pg-rw.here"
    assert lines([service("pg-rw")], pod("10.0.0.2"), other) == [f"10.0.0.2 {names}"]


def test_one_for_those_who_replicate_leads_to_all() -> None:
    found = lines([service("any", publishNotReadyAddresses=True)], pod("10.0.0.2"), pod("10.0.0.3", ready=False))
    assert [line.split()[0] for line in found] == ["10.0.0.2", "10.0.0.3"]


def test_without_a_pod_it_leads_to_this_machine() -> None:
    services = [service("empty"), service("outside", selector=None)]
    assert [line.split()[0] for line in lines(services)] == ["127.0.0.1", "127.0.0.1"]


def test_of_another_namespace_it_has_its_long_names_only() -> None:
    there = pod("10.0.0.2", namespace="there")
    assert lines([service("x", "there")], there) == ["10.0.0.2 x.there.svc x.there.svc.cluster.local"]
