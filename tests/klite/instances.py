"""One instance of a CloudNativePG Cluster, for real: the operator makes the Job and the Pod, and they are run here."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tests.klite import programs
from tests.klite.cluster import ClusterError
from tests.klite.images import Images, postgres_as_26
from tests.klite.operator import IMAGE, Operator, operator_image
from tests.klite.pods import Kubelet, Pod
from tests.parts.debian import COMPILE_18, DebianRoot
from tests.parts.processes import wait_until
from tests.parts.progress import step

__all__ = ["Instance", "images"]

_SECONDS: Final = 180.0
HEALTHY: Final = "Cluster in healthy state"


def images(folder: Path, postgres: str) -> Images:
    """The images that every Cluster needs: the operator's, and Debian's PostgreSQL 18 under the reference `postgres`.

    Raises:
        MissingError: not root, or no debootstrap.
        DebianError, GoError: one could not be made.
    """
    known = Images()
    root = DebianRoot.of(COMPILE_18).path
    known.register(postgres, postgres_as_26(root, folder / "uid26"), root)
    version = programs.version("github.com/cloudnative-pg/cloudnative-pg")
    known.register(f"{IMAGE}:{version}", operator_image(folder))
    return known


@dataclass
class Instance:
    """The one instance of a Cluster, running. A context manager that stops it and deletes the Cluster."""

    operator: Operator
    namespace: str
    name: str
    pod: Pod

    @classmethod
    def start(cls, operator: Operator, kubelet: Kubelet, namespace: str, name: str) -> Self:
        """Run what the operator makes of a Cluster that was applied, and return when the operator calls it healthy.

        Its ports are PostgreSQL's 5432 and the instance manager's 8000, 8010 and 9187, on every address.

        Raises:
            ClusterError: a pod failed.
            TimeUpError: the operator did not do its part in three minutes; its log says why.
        """
        with step(f"CloudNativePG makes {namespace}/{name}"):
            made = cls._await_pod(operator, namespace, f"cnpg.io/cluster={name},cnpg.io/jobRole")
            kubelet.bind_claims(namespace, f"cnpg.io/cluster={name}")
            job = kubelet.run(namespace, made)
            if job.wait() != 0:
                raise ClusterError(f"{made} failed:\n{job.logs()}")
            first = cls._await_pod(operator, namespace, f"cnpg.io/podRole=instance,cnpg.io/instanceName={name}-1")
            instance = cls(operator, namespace, name, kubelet.run(namespace, first))
            try:
                instance.await_phase(HEALTHY)
            except BaseException:
                instance.pod.stop()
                raise
        return instance

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the instance, delete the Cluster, and wait until the operator's objects are gone."""
        self.pod.stop()
        kubectl = self.operator.cluster.kubectl
        kubectl("-n", self.namespace, "delete", "cluster", self.name, "--ignore-not-found", "--timeout=60s")

    def await_phase(self, phase: str) -> None:
        """Wait until the operator says `phase` of the Cluster."""
        wait_until(lambda: self.status().get("phase") == phase, _SECONDS, f"{self.name}: {phase}", pause=0.3)

    def status(self) -> dict[str, Any]:
        """The Cluster's status now."""
        path = f"/apis/postgresql.cnpg.io/v1/namespaces/{self.namespace}/clusters/{self.name}"
        status: dict[str, Any] = self.operator.cluster.get(path).get("status", {})
        return status

    def query(self, sql: str) -> str:
        """What the statement returns, as the superuser inside of the instance: columns apart by ``|``.

        Raises:
            subprocess.CalledProcessError: it failed, or the instance does not run.
        """
        return self.run("psql", "-XAtc", sql).rstrip("\n")

    def run(self, *words: str) -> str:
        """What a command prints that is run inside of the container ``postgres``, as its user, with its environment.

        Raises:
            subprocess.CalledProcessError: it failed, or the instance does not run.
        """
        return self.pod.running["postgres"].execute(*words)

    @staticmethod
    def _await_pod(operator: Operator, namespace: str, selector: str) -> str:
        """The name of the first pod with these labels, once there is one."""

        def found() -> list[Any]:
            said = operator.cluster.kubectl("-n", namespace, "get", "pod", "-l", selector, "-o", "json")
            items: list[Any] = json.loads(said)["items"]
            return items

        wait_until(lambda: bool(found()), _SECONDS, f"a pod with {selector}", pause=0.3)
        return str(found()[0]["metadata"]["name"])
