"""That what judges and runs Clusters here is the real thing: verdicts that are known, and an instance that works."""

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.fix_operator import POSTGRES_IMAGE, OperatorStage
from tests.klite.cluster import ClusterError
from tests.klite.instances import Instance
from tests.klite.verdict import judge, render

GOOD: dict[str, Any] = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "judged", "namespace": "judged"},
    "spec": {
        "instances": 1,
        "imageName": POSTGRES_IMAGE,
        "storage": {"size": "1Gi"},
        "postgresql": {
            "extensions": [{"name": "pgbearer", "image": {"reference": "registry.example/pgbearer:18"}}],
            "parameters": {"oauth_validator_libraries": "pgbearer"},
            "pg_hba": ['hostssl all all all oauth issuer="https://issuer.example" scope="openid" map=people'],
        },
    },
}
Change = Callable[[dict[str, Any]], object]
CATALOG = {"apiGroup": "postgresql.cnpg.io", "kind": "ImageCatalog", "name": "x", "major": 18}


def extension(spec: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = spec["postgresql"]["extensions"][0]
    return made


def hba_file(spec: dict[str, Any]) -> None:
    spec["postgresql"]["parameters"]["hba_file"] = "x"


def hba(line: str) -> Change:
    return lambda spec: spec["postgresql"]["pg_hba"].append(line)


VERDICTS: list[tuple[str, Change, str]] = [
    ("a CEL rule", lambda spec: spec.update(imageCatalogRef=CATALOG), "CEL: spec:"),
    ("the schema", lambda spec: extension(spec).update(name="PG"), "schema: spec.postgresql.extensions[0].name"),
    ("an unknown field", lambda spec: spec.update(instance=1), "unknown field spec.instance"),
    ("the webhook", hba_file, "Can't set fixed configuration parameter"),
    ("the webhook, of HBA", hba("host all all ${podselector:x} oauth"), "pod selector not found"),
]


def changed(change: Change) -> dict[str, Any]:
    manifest = copy.deepcopy(GOOD)
    change(manifest["spec"])
    return manifest


def written(manifest: dict[str, Any], folder: Path) -> Path:
    file = folder / "manifest.yaml"
    file.write_text(json.dumps(manifest))
    return file


def test_what_is_good_is_accepted_and_rendered_in_order(tmp_path: Path) -> None:
    file = written(GOOD, tmp_path)
    (verdict,) = judge(file)
    assert (verdict.what, verdict.problems) == ("Cluster/judged", ())
    lines = [line for line in render(file, tmp_path / "made")["pg_hba.conf"].splitlines() if line[:1].isalpha()]
    ours = lines.index(GOOD["spec"]["postgresql"]["pg_hba"][0])
    assert lines[:2] == [
        "local all cnpg_metrics_exporter peer map=cnpg_metrics_exporter",
        "local all all peer map=local",
    ]
    assert lines[ours + 1 :] == ["host all all all scram-sha-256"]  # what people must not be able to reach


@pytest.mark.parametrize(("change", "said"), [pytest.param(*case[1:], id=case[0]) for case in VERDICTS])
def test_what_is_wrong_is_refused_offline(change: Change, said: str, tmp_path: Path) -> None:
    (verdict,) = judge(written(changed(change), tmp_path))
    assert verdict.problems is not None
    assert [problem for problem in verdict.problems if said in problem], verdict


def certificate(**spec: Any) -> dict[str, Any]:
    usual = {"secretName": "judged", "dnsNames": ["a.example"], "issuerRef": {"name": "judged"}}
    metadata = {"name": "judged", "namespace": "judged"}
    return {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": metadata, "spec": {**usual, **spec}}


def test_cert_managers_webhook_is_heard_offline(tmp_path: Path) -> None:
    (good,) = judge(written(certificate(), tmp_path))
    assert (good.what, good.problems) == ("Certificate/judged", ())
    (wrong,) = judge(written(certificate(duration="1h", renewBefore="2h"), tmp_path))
    assert wrong.problems is not None
    assert [problem for problem in wrong.problems if "webhook: spec.renewBefore" in problem], wrong


def test_a_wrong_hba_line_is_refused_by_nobody(tmp_path: Path) -> None:
    (verdict,) = judge(
        written(changed(lambda spec: spec["postgresql"]["pg_hba"].append("hostssl all all oauthx")), tmp_path)
    )
    assert verdict.problems == ()


def test_the_api_server_refuses_what_the_webhook_refuses(operator_stage: OperatorStage) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "judged"}}
    operator_stage.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    manifest = changed(hba_file)
    with pytest.raises(ClusterError, match="Can't set fixed configuration parameter"):
        operator_stage.cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(manifest))


def test_the_api_server_refuses_what_cert_managers_webhook_refuses(operator_stage: OperatorStage) -> None:
    kubectl = operator_stage.cluster.kubectl
    kubectl(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "judged"}})
    )
    kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(certificate()))
    manifest = certificate(duration="1h", renewBefore="2h")
    with pytest.raises(ClusterError, match=r"admission webhook \"webhook.cert-manager.io\" denied .*spec.renewBefore"):
        kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(manifest))


def test_an_instance_is_what_the_operator_makes_of_it(operator_stage: OperatorStage) -> None:
    stage = operator_stage
    stage.cluster.namespace("one")
    spec = {"instances": 1, "imageName": POSTGRES_IMAGE, "storage": {"size": "1Gi"}}
    manifest = {**GOOD, "metadata": {"name": "one", "namespace": "one"}, "spec": spec}
    stage.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    with Instance.start(stage.operator, stage.kubelet, "one", "one") as instance:
        assert instance.status()["readyInstances"] == 1
        counted = "SELECT count(*) FILTER (WHERE error IS NOT NULL), max(auth_method) FROM pg_hba_file_rules"
        assert instance.query(f"{counted} WHERE type = 'host'") == "0|scram-sha-256"
        assert instance.query("SELECT current_user, current_setting('cluster_name')") == "postgres|one"
    with pytest.raises(subprocess.CalledProcessError):
        instance.query("SELECT 1")
