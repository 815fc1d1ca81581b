"""What keeps the service there while nodes are drained, by Kubernetes' own controllers and the API server's eviction.

No pod runs: whether one is ready is said here, as a kubelet would say it.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
import yaml

from tests.cnpg.manifests import rendered
from tests.e2e.fix_operator import OperatorStage
from tests.klite import controllers
from tests.klite.cluster import Cluster, ClusterError
from tests.parts.processes import wait_until

pytestmark = pytest.mark.timeout(300)  # the operator may have to be started first

NAMESPACE = "databases"
SERVICE = {
    ("Namespace", "databases"),
    ("ServiceAccount", "pgbearer"),
    ("Deployment", "pgbearer"),
    ("HorizontalPodAutoscaler", "pgbearer"),
    ("PodDisruptionBudget", "pgbearer"),
}


@dataclass(frozen=True, slots=True)
class Replicas:
    """The pods that the Deployment makes."""

    cluster: Cluster

    def names(self) -> set[str]:
        """Of those that are not going."""
        words = ["-n", NAMESPACE, "get", "pod", "-l", "app.kubernetes.io/name=pgbearer", "-o", "json"]
        found = json.loads(self.cluster.kubectl(*words))["items"]
        return {each["metadata"]["name"] for each in found if "deletionTimestamp" not in each["metadata"]}

    def await_names(self, count: int, *, beside: Sequence[str] = ()) -> list[str]:
        """Those that there are beside some, as soon as there are so many."""
        wait_until(lambda: len(self.names() - set(beside)) == count, 60, f"{count} pods of the service", pause=0.3)
        return sorted(self.names() - set(beside))

    def say(self, name: str, *, ready: bool) -> None:
        """Let it run, and be ready or not."""
        condition = {"type": "Ready", "status": str(ready)}
        patch = json.dumps({"status": {"phase": "Running", "conditions": [condition]}})
        self.cluster.kubectl(
            *("-n", NAMESPACE, "patch", "pod", name, "--subresource=status", "--type=merge", "-p", patch)
        )

    def await_budget(self, *, allowed: int, healthy: int) -> None:
        """Wait until the budget knows how many are ready of two, and lets so many go."""
        path = f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets/pgbearer"
        wanted = {"disruptionsAllowed": allowed, "currentHealthy": healthy, "expectedPods": 2}
        wait_until(
            lambda: wanted.items() <= self.cluster.get(path).get("status", {}).items(), 60, f"{wanted}", pause=0.3
        )

    def evict(self, name: str) -> None:
        """As ``kubectl drain`` does.

        Raises:
            ClusterError: it may not go.
        """
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
        self.cluster.create(path, apiVersion="policy/v1", kind="Eviction", metadata={"name": name})


@pytest.fixture
def replicas(operator_stage: OperatorStage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Those of overlays/service, with an autoscaler that runs and has no metrics."""
    cluster, folder = operator_stage.cluster, tmp_path_factory.mktemp("autoscaler")
    ours = [each for each in rendered("service").objects if (each["kind"], each["metadata"]["name"]) in SERVICE]
    assert len(ours) == len(SERVICE)
    text = yaml.safe_dump_all([dict(each) for each in ours])
    scaling = controllers.start(
        cluster, folder, ["horizontal-pod-autoscaler-controller"], "--horizontal-pod-autoscaler-sync-period=1s"
    )
    try:
        cluster.kubectl("apply", "-f", "-", stdin=text)
        yield Replicas(cluster)
    finally:
        scaling.stop()
        mine = yaml.safe_dump_all([dict(each) for each in ours if each["kind"] != "Namespace"])
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=mine)


def test_while_nodes_are_drained_one_replica_stays_that_is_ready(replicas: Replicas) -> None:
    """There are two without metrics too: one alone the budget would let go."""
    first, second = replicas.await_names(2)
    for name in (first, second):
        replicas.say(name, ready=True)
    replicas.await_budget(allowed=1, healthy=2)
    replicas.evict(first)
    (third,) = replicas.await_names(1, beside=[first, second])
    replicas.say(third, ready=False)
    replicas.await_budget(allowed=0, healthy=1)
    with pytest.raises(ClusterError, match=r"429 .*disruption budget"):
        replicas.evict(second)
    replicas.say(third, ready=True)
    replicas.await_budget(allowed=1, healthy=2)
    replicas.evict(second)


def test_replicas_that_are_not_ready_keep_no_node_from_being_drained(replicas: Replicas) -> None:
    both = replicas.await_names(2)
    for name in both:
        replicas.say(name, ready=False)
    replicas.await_budget(allowed=0, healthy=0)
    for name in both:
        replicas.evict(name)
