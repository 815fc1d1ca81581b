"""`pgbearer cnpg status` of a Cluster that the real operator runs, through the real kubectl and API server.

There is no kubelet here to ``exec`` by, so the primary is asked in its container directly.
"""

import json
from typing import Any

import pytest

from pgbearer.cnpg import Kubectl, look
from pgbearer.cnpg.kubectl import RefusedError
from pgbearer.errors import UnreachableError
from tests.e2e.fix_operator import POSTGRES_IMAGE, OperatorStage
from tests.klite.instances import Instance
from tests.klite.programs import kubectl


class WithoutKubelet(Kubectl):
    """Asks `instance` itself."""

    def __init__(self, instance: Instance, namespace: str) -> None:
        super().__init__(namespace=namespace, program=str(kubectl()))
        self._instance = instance

    def text(self, *words: str) -> str:
        return self._instance.query(words[-1]) if words[0] == "exec" else super().text(*words)


def test_a_cluster_that_runs(operator_stage: OperatorStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(operator_stage.cluster.kubeconfig))
    operator_stage.cluster.namespace("looked")
    spec = {"instances": 1, "imageName": POSTGRES_IMAGE, "storage": {"size": "1Gi"}}
    manifest: dict[str, Any] = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "spec": spec}
    manifest["metadata"] = {"name": "looked", "namespace": "looked"}
    operator_stage.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    with Instance.start(operator_stage.operator, operator_stage.kubelet, "looked", "looked") as instance:
        found = look(WithoutKubelet(instance, "looked"), "looked")
    assert (found.instances, found.ready_instances, found.primary) == (1, 1, "looked-1")
    assert found.certificates
    assert all(each.ends and each.problem is None for each in found.certificates)
    assert [each.code for each in found.findings if each.code.startswith(("hba", "operator", "map"))] == [
        "hba_no_oauth",
        "operator_line_reached",
    ]
    assert found.problems == ["no pod has a container named pgbearer: nobody decides"]
    assert not found.well


def test_what_is_not_there(operator_stage: OperatorStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(operator_stage.cluster.kubeconfig))
    with pytest.raises(RefusedError, match='"nothing" not found'):
        look(Kubectl(namespace="default", program=str(kubectl())), "nothing")
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    with pytest.raises(UnreachableError):
        look(Kubectl(namespace="default", program=str(kubectl())), "nothing")
