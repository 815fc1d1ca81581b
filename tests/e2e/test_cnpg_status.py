"""`pgbearer cnpg status` and `check --cluster` of a Cluster that the real operator runs, through the real kubectl."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgbearer.cnpg import Kubectl, look
from pgbearer.cnpg.in_cluster import ask_cluster
from pgbearer.cnpg.kubectl import RefusedError
from pgbearer.errors import UnreachableError
from tests.e2e.fix_operator import POSTGRES_IMAGE, OperatorStage
from tests.klite.cluster import Cluster
from tests.klite.instances import Instance
from tests.klite.programs import kubectl

JUDGE = [
    {"apiGroups": ["postgresql.cnpg.io"], "resources": ["clusters"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]},
]
"""What docs/cloudnativepg-check.md says that `--cluster` takes."""
LOOK = [*JUDGE, {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
"""What docs/cloudnativepg-render.md says that `status` takes, where no Secret is ours."""


@pytest.fixture(scope="module")
def looked(operator_stage: OperatorStage) -> Iterator[Cluster]:
    """With a Cluster that knows nothing of us, in a namespace that is called the same."""
    cluster = operator_stage.cluster
    cluster.namespace("looked")
    spec = {"instances": 1, "imageName": POSTGRES_IMAGE, "storage": {"size": "1Gi"}}
    manifest: dict[str, Any] = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "spec": spec}
    manifest["metadata"] = {"name": "looked", "namespace": "looked"}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    with Instance.start(operator_stage.operator, operator_stage.kubelet, "looked", "looked"):
        yield cluster


def someone(cluster: Cluster, name: str, rules: list[dict[str, Any]], folder: Path) -> Path:
    """A kubeconfig of an account that may do this and no more."""
    cluster.account("looked", name)
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/looked"
    cluster.create(f"{path}/roles", metadata={"name": name}, rules=rules)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    subject = {"kind": "ServiceAccount", "name": name}
    cluster.create(f"{path}/rolebindings", metadata={"name": name}, roleRef=role, subjects=[subject])
    config = json.loads(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": cluster.token("looked", name)}
    file = folder / "kubeconfig"
    file.touch(mode=0o600)
    file.write_text(json.dumps(config))
    return file


def asking() -> Kubectl:
    return Kubectl(namespace="looked", program=str(kubectl()))


def test_a_cluster_that_runs(looked: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(someone(looked, "looks", LOOK, tmp_path)))
    found = look(asking(), "looked")
    assert (found.instances, found.ready_instances, found.primary) == (1, 1, "looked-1")
    assert found.certificates
    assert all(each.ends and each.problem is None for each in found.certificates)
    assert [each.code for each in found.findings if each.code.startswith(("hba", "operator", "map"))] == [
        "hba_no_oauth",
        "operator_line_reached",
    ]
    assert found.problems == ["no pod has a container named pgbearer: nobody decides"]
    assert not found.well


def test_who_may_judge_it_needs_no_more_rights(
    looked: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(someone(looked, "judges", JUDGE, tmp_path)))
    assert "operator_line_reached" in {each.code for each in ask_cluster(asking(), "looked")}
    assert any("cannot list" in each for each in look(asking(), "looked").problems)


def test_who_may_run_nothing_there_is_told(looked: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(someone(looked, "reads", JUDGE[:2], tmp_path)))
    with pytest.raises(RefusedError, match='cannot create resource "pods/exec"'):
        ask_cluster(asking(), "looked")


def test_what_is_not_there(operator_stage: OperatorStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(operator_stage.cluster.kubeconfig))
    with pytest.raises(RefusedError, match='"nothing" not found'):
        look(Kubectl(namespace="default", program=str(kubectl())), "nothing")
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    with pytest.raises(UnreachableError):
        look(Kubectl(namespace="default", program=str(kubectl())), "nothing")
