"""What is rendered is what kustomize builds: with the spec's patches, of what ships, and as each overlay."""

import copy
import errno
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pgbearer.cli import app
from pgbearer.cnpg import check_text, render, write
from pgbearer.cnpg.shipped import assemble
from pgbearer.errors import UsageError
from tests.cnpg.manifests import CNPG, OVERLAYS, build, rendered, with_components
from tests.klite.verdict import conform, judge
from tests.unit.render_samples import MODES, PASSWORD, spec

SCHEMAS = Path(__file__).parents[1] / "schemas"


def by_name(objects: Any) -> dict[str, Any]:
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in objects}


def data(objects: Any) -> Any:
    """With the text of pgbearer.yaml read, for kustomize folds it otherwise."""
    named = by_name(objects)
    for each in named.values():
        if each["kind"] == "ConfigMap":
            each["data"] = {name: yaml.safe_load(text) for name, text in each["data"].items()}
    return named


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "change", [{}, {"insecure_lines": [PASSWORD], "break_glass": None, "replicas": 3, "name": "a-b"}]
)
def test_kustomize_builds_the_same(mode: dict[str, Any], change: dict[str, Any], tmp_path: Path) -> None:
    made = render(spec(**mode, **change))
    write(made, tmp_path / "out")
    built = build(tmp_path / "out")
    assert data(yaml.safe_load_all(made.text())) == data(built.objects)


@pytest.mark.parametrize("mode", MODES)
def test_the_policy_of_a_folder_is_a_file_to_be_changed(mode: dict[str, Any], tmp_path: Path) -> None:
    made = render(spec(**mode))
    write(made, tmp_path / "out")
    policy = tmp_path / "out" / "pgbearer.yaml"
    assert policy.read_text() == made.policy
    policy.write_text(f"# ours\n{made.policy}")
    (built,) = build(tmp_path / "out").of("ConfigMap")
    assert built["data"] == {"pgbearer.yaml": policy.read_text()}  # so its digest is the file's


SHIPPED: dict[str, Any] = {
    "name": "pg",
    "namespace": "databases",
    "issuer": "https://sso.example.com/realms/corp",
    "audience": "db:pg",
    "database": "appdb",
    "roles": [
        {"name": "app_readonly", "inherits": ["pg_read_all_data"], "given_by": ["app_readonly", "app_readwrite"]},
        {"name": "app_readwrite", "inherits": ["pg_read_all_data", "pg_write_all_data"]},
        {"name": "app_migrator", "inherits": ["app"], "session": "1h"},
    ],
}
"""What the manifests that come with pgbearer say."""
ORDERS = {"name": "orders", "inherits": ["pg_read_all_data", "pg_write_all_data"]}
MIGRATOR = {"name": "orders_migrator", "inherits": ["app"], "session": "1h"}
REPORTS = {"name": "partner_reports", "inherits": ["pg_read_all_data"], "path": "/ns/reports/sa/nightly"}
OF_OVERLAYS: dict[str, dict[str, Any]] = {
    "service": {},
    "sidecar": {"mode": "sidecar"},
    "mesh-istio": {"mesh": "istio", "mesh_clients": ["shop/orders"]},
    "mesh-linkerd": {"mesh": "linkerd", "mesh_clients": ["shop/orders"]},
    "kubernetes-workloads": {
        "workloads": {
            "roles": [
                {**ORDERS, "service_account": "shop/orders"},
                {**MIGRATOR, "service_account": "shop/migrations"},
            ]
        }
    },
    "spire": {
        "spire": {
            "trust_domain": "prod.example",
            "jwt_issuer": "https://oidc.prod.example",
            "roles": [{**ORDERS, "path": "/ns/shop/sa/orders"}],
            "federated": {
                "trust_domain": "partner.example",
                "bundle_endpoint": "https://spire.partner.example:8443",
                "roles": [REPORTS],
            },
        }
    },
}
"""Each overlay as a spec."""
CLUSTER_WIDE = {
    "ClusterRoleBinding/databases.pgbearer-token-review": "ClusterRoleBinding/pgbearer-token-review",
    "ClusterSPIFFEID/databases.pg-workloads": "ClusterSPIFFEID/pg-workloads",
    "ClusterSPIFFEID/databases.pgbearer": "ClusterSPIFFEID/pgbearer",
    "ClusterSPIFFEID/databases.pgbearer-partner": "ClusterSPIFFEID/pgbearer-partner",
    "ClusterFederatedTrustDomain/partner.example": "ClusterFederatedTrustDomain/partner",
}
"""Objects that every Cluster of a spec has of its own."""


def alike(objects: Any) -> dict[str, Any]:
    """Without the names that people give rules and objects for all of Kubernetes."""
    named = {CLUSTER_WIDE.get(name, name): each for name, each in data(objects).items()}
    for name, each in named.items():
        if name in CLUSTER_WIDE.values():
            del each["metadata"]["name"]
        if name == "ConfigMap/pgbearer":
            for rule in each["data"]["pgbearer.yaml"]["rules"]:
                del rule["name"]
    return named


@pytest.mark.parametrize("overlay", OF_OVERLAYS)
def test_a_spec_makes_each_overlay(overlay: str) -> None:
    made = alike(copy.deepcopy(render(spec(**SHIPPED | OF_OVERLAYS[overlay])).objects))
    shipped = alike(copy.deepcopy(rendered(overlay).objects))
    examples = {name for name, each in shipped.items() if each["metadata"].get("namespace", "") == "shop"}
    assert made == {name: each for name, each in shipped.items() if name not in {*examples, "Namespace/shop"}}


def test_no_overlay_is_left_out() -> None:
    assert {*OF_OVERLAYS, "quickstart"} == set(OVERLAYS)


@pytest.mark.parametrize("mode", MODES)
def test_what_ships_is_put_together_as_kustomize_does(mode: dict[str, Any], tmp_path: Path) -> None:
    components = render(spec(**mode)).components
    built = with_components(tmp_path, ["base"], [f"components/{name}" for name in components])
    assert by_name(assemble(components)) == by_name(built.objects)


@pytest.mark.parametrize("mode", MODES)
def test_the_api_server_and_the_operator_would_take_it(mode: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(render(spec(**mode)).text())
    more = f"{SCHEMAS}/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json"
    assert conform(file, more_schemas=[more]) == ""
    assert [verdict for verdict in judge(file) if verdict.problems] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_is_found_in_what_ships(overlay: str) -> None:
    assert [str(found) for found in check_text(rendered(overlay).text) if found.counts] == []


def test_the_manifests_are_in_the_wheel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=CNPG.parent, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name.partition("/cnpg/manifests/")[2] for name in zipfile.ZipFile(wheel).namelist()} - {""}
    parts = (file for part in ("base", "components") for file in (CNPG / part).rglob("*") if file.is_file())
    assert inside == {str(file.relative_to(CNPG)) for file in parts}


def test_nothing_is_written_of_a_bad_spec(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(json.dumps({"version": 1, "name": "X"}))
    result = CliRunner().invoke(app, ["cnpg", "render", "-f", str(file), "-o", str(tmp_path / "out")])
    assert getattr(result.exception, "exit_code", None) == 2
    assert not (tmp_path / "out").exists()


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = render(spec(mode="sidecar"))
    (tmp_path / "empty").mkdir()
    write(made, tmp_path / "empty")
    assert build(tmp_path / "empty").objects

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)  # the last that is written
    with pytest.raises(UsageError, match="No space left"):
        write(made, tmp_path / "out")
    assert [each.name for each in tmp_path.iterdir()] == ["empty"]


def test_a_folder_with_something_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(spec(mode="sidecar").spec.model_dump_json())
    result = CliRunner().invoke(app, ["cnpg", "render", "-f", str(file), "-o", str(tmp_path)])
    assert getattr(result.exception, "exit_code", None) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["spec.yaml"]
    assert CliRunner().invoke(app, ["cnpg", "render", "-f", str(file)]).stdout.startswith("apiVersion")
