"""The overlays of cnpg/ as a real API server takes them, with the operator's webhooks, PodSecurity and RBAC."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cnpg.cluster import made
from tests.cnpg.manifests import OVERLAYS, Json, Rendered, pod_specs, rendered
from tests.e2e.fix_operator import OperatorStage
from tests.klite.cluster import Cluster, ClusterError

ABSENT = ("security.istio.io/", "policy.linkerd.io/", "k8s.keycloak.org/")
"""Whose kinds this API server is not told of: for them there are schemas only, in test_cnpg_overlays.py."""
ACCOUNT = "system:serviceaccount:databases:pgbearer"

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@pytest.fixture(scope="module")
def prepared(operator_stage: OperatorStage) -> Cluster:
    """With the namespaces and service accounts of every overlay, which a dry run of the rest needs to find."""
    found = operator_stage.cluster
    for overlay in OVERLAYS:
        manifests = rendered(overlay)
        found.kubectl("apply", "-f", "-", stdin=text(*manifests.of("Namespace"), *manifests.of("ServiceAccount")))
    operators_own = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "pg", "namespace": "databases"}}
    found.kubectl("apply", "-f", "-", stdin=text(operators_own))
    return found


def text(*objects: Json) -> str:
    return yaml.safe_dump_all([dict(each) for each in objects])


def known(manifests: Rendered) -> list[Json]:
    return [each for each in manifests.objects if not each["apiVersion"].startswith(ABSENT)]


def pods(overlay: str) -> Iterator[tuple[str, Json]]:
    """Each pod of an overlay as an object, with the namespace that it is for."""
    specs = dict(pod_specs(rendered(overlay).objects))
    spec = {**made(overlay).pod["spec"], "nodeName": "nowhere"}
    for container in spec["containers"]:
        container.setdefault("image", "ghcr.io/cloudnative-pg/postgresql:18-minimal-trixie")
    for name, each in {**specs, "instance": spec}.items():
        namespace = "shop" if name == "Deployment/orders" else "databases"
        metadata = {"name": "tried", "namespace": namespace}
        yield namespace, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": each}


def may(cluster: Cluster, account: str) -> list[str]:
    """The resources that `kubectl auth can-i --list` has for an account, beside what all may ask of themselves."""
    lines = cluster.kubectl("auth", "can-i", "--list", "-n", "databases", f"--as={account}").splitlines()[1:]
    resources = [line.split()[0] for line in lines if not line.startswith(" ")]
    return [resource for resource in resources if not resource.startswith("selfsubject")]


@every_overlay
def test_the_api_server_would_take_it(prepared: Cluster, overlay: str) -> None:
    said = prepared.kubectl("apply", "--dry-run=server", "-f", "-", stdin=text(*known(rendered(overlay))))
    assert len(said.splitlines()) == len(known(rendered(overlay)))


@every_overlay
def test_a_restricted_namespace_admits_every_pod(prepared: Cluster, overlay: str) -> None:
    for namespace, pod in pods(overlay):
        label = prepared.get(f"/api/v1/namespaces/{namespace}")["metadata"]["labels"]
        assert label["pod-security.kubernetes.io/enforce"] == "restricted"
        prepared.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))


def test_the_sidecar_has_not_the_instances_token(prepared: Cluster) -> None:
    """The API server mounts it into every container that has nothing there; with it come the Cluster's Secrets."""
    (instance,) = (pod for _, pod in pods("sidecar") if pod["spec"].get("serviceAccountName") == "pg")
    admitted = json.loads(
        prepared.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(instance))
    )
    there = {
        container["name"]: mount["name"]
        for container in (*admitted["spec"]["initContainers"], *admitted["spec"]["containers"])
        for mount in container["volumeMounts"]
        if mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    }
    assert there["postgres"].startswith("kube-api-access-")  # the operator's own program there needs it
    assert there["pgbearer"] == "pgbearer-no-token"
    (volume,) = (each for each in admitted["spec"]["volumes"] if each["name"] == "pgbearer-no-token")
    assert volume == {"name": "pgbearer-no-token", "emptyDir": {"medium": "Memory", "sizeLimit": "4Ki"}}


def test_it_would_not_admit_another(prepared: Cluster) -> None:
    _, pod = next(pods("service"))
    worse: dict[str, Any] = json.loads(json.dumps(pod))
    del worse["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"]
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        prepared.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(worse))


def test_the_service_may_ask_the_api_server_nothing(prepared: Cluster) -> None:
    assert may(prepared, ACCOUNT) == []


def test_reviewing_tokens_is_the_one_right_that_it_can_get(prepared: Cluster) -> None:
    binding = rendered("kubernetes-workloads").one("ClusterRoleBinding", "pgbearer-token-review")
    prepared.kubectl("apply", "-f", "-", stdin=text(binding))
    try:
        rights = may(prepared, ACCOUNT)
    finally:
        prepared.kubectl("delete", "clusterrolebinding", "pgbearer-token-review")
    assert sorted(rights) == ["subjectaccessreviews.authorization.k8s.io", "tokenreviews.authentication.k8s.io"]
    assert may(prepared, ACCOUNT) == []
