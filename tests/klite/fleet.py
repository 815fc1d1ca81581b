"""All instances of a CloudNativePG Cluster, for real: what the operator wants to run is run, and what it deletes ends.

There is no process in the background: whoever waits for something brings the pods into line while waiting.
"""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, Self

from tests.klite.cluster import ClusterError
from tests.klite.containers import Container
from tests.klite.instances import HEALTHY
from tests.klite.operator import Operator
from tests.klite.pods import Kubelet, Pod
from tests.parts.processes import wait_until
from tests.parts.progress import step

__all__ = ["Fleet"]

_SECONDS: Final = 180.0


@dataclass
class Fleet:
    """The pods of a Cluster that was applied. A context manager that stops them and deletes the Cluster."""

    operator: Operator
    kubelet: Kubelet
    namespace: str
    name: str
    running: dict[str, Pod] = field(default_factory=dict)
    """Instances by name."""

    @classmethod
    def start(cls, operator: Operator, kubelet: Kubelet, namespace: str, name: str) -> Self:
        """Run what the operator makes of it, and return when it calls the Cluster healthy.

        Raises:
            ClusterError: a pod failed.
            TimeUpError: the operator did not do its part in three minutes; its log says why.
        """
        fleet = cls(operator, kubelet, namespace, name)
        with step(f"CloudNativePG makes {namespace}/{name}"), ExitStack() as undo:
            undo.callback(fleet.stop)
            fleet.await_healthy()
            undo.pop_all()
        return fleet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop all instances, delete the Cluster, and wait until the operator's objects are gone."""
        kubectl = self.operator.cluster.kubectl
        kubectl("-n", self.namespace, "delete", "cluster", self.name, "--ignore-not-found", "--timeout=60s")
        for pod in self.running.values():
            pod.stop()
        self.running.clear()

    def follow(self, happened: Callable[[], bool], what: str) -> None:
        """Bring the pods into line again and again, until `happened()` is true.

        Raises:
            ClusterError: a pod failed.
            TimeUpError: it did not happen in three minutes.
        """

        def once() -> bool:
            self._align()
            return happened()

        wait_until(once, _SECONDS, f"{self.name}: {what}", pause=0.3)

    def await_healthy(self) -> None:
        """Follow until all its instances are ready, each runs here, and the operator says that it is healthy."""

        def healthy() -> bool:
            found = self.get()
            status, wanted = found.get("status", {}), found["spec"]["instances"]
            ready: bool = status.get("phase") == HEALTHY and status.get("readyInstances") == wanted == len(self.running)
            return ready

        self.follow(healthy, HEALTHY)

    def lose(self, instance: str) -> None:
        """Let an instance be gone, as with its node, until somebody deletes its pod."""
        self.running.pop(instance).fail()

    def get(self) -> dict[str, Any]:
        """The Cluster as it is now."""
        path = f"/apis/postgresql.cnpg.io/v1/namespaces/{self.namespace}/clusters/{self.name}"
        return self.operator.cluster.get(path)

    @property
    def primary(self) -> str:
        """The name of the instance that is primary."""
        return str(self.get()["status"].get("currentPrimary", ""))

    def container(self, instance: str, name: str = "postgres") -> Container:
        """A container of an instance that runs."""
        return self.running[instance].running[name]

    def query(self, instance: str, sql: str) -> str:
        """What the statement returns, as the superuser inside of an instance: columns apart by ``|``.

        Raises:
            subprocess.CalledProcessError: it failed, or the instance does not run.
        """
        return self.container(instance).execute("psql", "-XAtc", sql).rstrip("\n")

    def _align(self) -> None:
        """Stop what is no longer wanted, start what is, and tell every pod where the Services now lead."""
        wanted = {each["metadata"]["name"]: each for each in self._pods()}
        for name, pod in list(self.running.items()):
            if wanted.get(name, {}).get("metadata", {}).get("uid") != pod.uid:
                pod.stop()
                del self.running[name]
        self.kubelet.bind_claims(self.namespace, f"cnpg.io/cluster={self.name}")
        for name, each in wanted.items():
            if each["status"].get("phase") == "Pending" and name not in self.running:
                self._start(name, is_job="cnpg.io/jobRole" in each["metadata"]["labels"])
        for pod in self.running.values():
            pod.revive()
            pod.name_services()

    def _start(self, name: str, *, is_job: bool) -> None:
        pod = self.kubelet.run(self.namespace, name)
        if not is_job:
            self.running[name] = pod
        elif pod.wait() != 0:
            raise ClusterError(f"{name} failed:\n{pod.logs()}")

    def _pods(self) -> list[dict[str, Any]]:
        selector = f"cnpg.io/cluster={self.name}"
        said = self.operator.cluster.kubectl("-n", self.namespace, "get", "pod", "-l", selector, "-o", "json")
        pods: list[dict[str, Any]] = json.loads(said)["items"]
        return pods
