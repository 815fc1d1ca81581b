"""A node of the API server's: the object, and the program that it connects to for what goes on in the node's pods.

So ``kubectl exec``, ``logs`` and ``port-forward`` are real from end to end but for the program, which is the tests' own
around the library of the real kubelet (k8s.io/cri-streaming). `tests.klite.pods` runs the pods.
"""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tests.klite.cluster import AS_CLIENT, Cluster, ClusterError
from tests.klite.programs import kubelet_streams
from tests.klite.services import LOOPBACK
from tests.parts.ports import free_port
from tests.parts.processes import Running, launch, wait_until

__all__ = ["Node"]

_SECONDS: Final = 30.0
_OWN: Final = "nodes"
"""The namespace in which nothing is but who may try whether pods have no time to end."""
_AT_ONCE: Final = """
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: pods-end-at-once}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  reinvocationPolicy: Never
  mutations:
    - patchType: JSONPatch
      jsonPatch: {expression: '[JSONPatch{op: "add", path: "/spec/terminationGracePeriodSeconds", value: 0}]'}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: pods-end-at-once}
spec: {policyName: pods-end-at-once}
---
apiVersion: v1
kind: Namespace
metadata: {name: nodes}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: nobody, namespace: nodes}
"""
"""A pod on a node is gone when its kubelet says so, or at once if it has no time to end. Nobody here would say so."""
_PROBE: Final = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "probe", "namespace": _OWN},
    "spec": {"serviceAccountName": "nobody", "containers": [{"name": "app", "image": "registry.example/app"}]},
}


@dataclass(frozen=True, slots=True)
class Node:
    """A node, and `streams`, which answers for it; its folder is `folder`. A context manager that takes it away."""

    cluster: Cluster
    name: str
    folder: Path
    streams: Running

    @classmethod
    def start(cls, cluster: Cluster, name: str, folder: Path) -> Self:
        """Make it known, and return when the API server can connect to it.

        From now on pods are gone at once that are deleted, as they were where there was no node.

        Raises:
            GoError: the program could not be built.
            ClusterError: it ended.
            TimeUpError: the API server did not do its part in half a minute.
        """
        program, port, log = kubelet_streams(), free_port(), folder / "streams.log"
        (folder / "pods").mkdir(parents=True)
        with ExitStack() as undo:
            streams = launch(_command(program, cluster, port, folder / "pods"), log=log)
            undo.callback(streams.stop)
            wait_until(lambda: "listening" in log.read_text() or not streams.alive(), _SECONDS, "a node", pause=0.05)
            if not streams.alive():
                raise ClusterError(f"what stands for a kubelet ended\n{log.read_text()}")
            cluster.create("/api/v1/nodes", metadata={"name": name}, status=_status(port))
            node = cls(cluster, name, folder, streams)
            undo.callback(node.stop)
            cluster.kubectl("apply", "-f", "-", stdin=_AT_ONCE)
            wait_until(node._ends_at_once, _SECONDS, "the policy that pods end at once", pause=0.2)
            undo.pop_all()
        return node

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take it away; connections into its pods end."""
        self.streams.stop()
        self.cluster.delete(f"/api/v1/nodes/{self.name}")

    @property
    def pods(self) -> Path:
        """The folder with one for each pod, ``NAMESPACE_POD``, and in that one for each container."""
        return self.folder / "pods"

    def take(self, namespace: str, pod: str) -> None:
        """Be the node that a pod is on, as a scheduler says it.

        Raises:
            ClusterError: it is on another already.
        """
        target = {"apiVersion": "v1", "kind": "Node", "name": self.name}
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/binding"
        self.cluster.create(path, metadata={"name": pod}, target=target)

    def _ends_at_once(self) -> bool:
        words = ["create", "--dry-run=server", "-o", "jsonpath={.spec.terminationGracePeriodSeconds}", "-f", "-"]
        return self.cluster.kubectl(*words, stdin=json.dumps(_PROBE)) == "0"


def _command(program: Path, cluster: Cluster, port: int, pods: Path) -> list[str | Path]:
    return [
        *(program, "-listen", f"{LOOPBACK}:{port}", "-pods", pods),
        *("-tls-cert", cluster.kubelet.cert_file, "-tls-key", cluster.kubelet.key_file),
        *("-client-ca", cluster.ca_file, "-client", AS_CLIENT),
    ]


def _status(port: int) -> dict[str, Any]:
    return {
        "addresses": [{"type": "InternalIP", "address": LOOPBACK}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "conditions": [{"type": "Ready", "status": "True"}],
    }
