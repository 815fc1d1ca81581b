"""The page about CloudNativePG: its blocks are parts of the files that are tested, and its own folder can be built."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pgbearer.cli import app
from pgbearer.cnpg import check_text
from tests.cnpg.manifests import CNPG, OVERLAYS, build, rendered, with_components
from tests.cnpg.network import Place, allowed
from tests.cnpg.places import PLACES
from tests.klite.verdict import conform, judge

ROOT = CNPG.parent
PAGE = (ROOT / "docs" / "cloudnativepg.md").read_text()
BLOCKS = dict(re.findall(r"```yaml (\S+)\n(.*?)```", PAGE, re.DOTALL))
OURS = {name: block for name, block in BLOCKS.items() if name.startswith("cnpg/")}
THEIRS = {name: block for name, block in BLOCKS.items() if not name.startswith("cnpg/")}
OF_VAULT = dict(
    re.findall(r"```yaml (\S+)\n(.*?)```", (ROOT / "docs" / "cloudnativepg-vault.md").read_text(), re.DOTALL)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the reader has made: folders of their own beside a copy of cnpg/."""
    shutil.copytree(CNPG, tmp_path / "cnpg")
    for name, block in THEIRS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(block)
    shutil.copy(CNPG / "base/pgbearer.yaml", tmp_path / "databases")
    return tmp_path


@pytest.mark.parametrize("name", OURS)
def test_a_block_of_a_file_is_in_it(name: str) -> None:
    assert OURS[name] in (ROOT / name).read_text()


def test_the_readers_folder_is_good_and_says_what_is_theirs(folder: Path) -> None:
    manifests = build(folder / "databases")
    file = folder / "manifests.yaml"
    file.write_text(manifests.text)
    assert conform(file) == ""
    assert [verdict for verdict in judge(file) if verdict.problems] == []
    (found,) = (each for each in check_text(manifests.text) if each.counts)
    assert found.code == "issuer_unknown"  # until it is in their policy too, as the page says
    spec = manifests.one("Cluster", "pg")["spec"]
    assert "https://login.corp.example/realms/staff" in spec["postgresql"]["pg_hba"][1]
    assert (
        spec["postgresql"]["pg_hba"][2:] == rendered("service").one("Cluster", "pg")["spec"]["postgresql"]["pg_hba"][2:]
    )
    assert spec["storage"]["size"] == "100Gi"
    (extension,) = spec["postgresql"]["extensions"]
    assert extension["image"]["reference"] == "registry.corp.example/pgbearer-module:0.1.0-18-trixie"
    (container,) = manifests.one("Deployment", "pgbearer")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.corp.example/pgbearer:0.1.0"
    assert manifests.of("PrometheusRule")


def test_who_is_outside_comes_from_the_addresses_of_the_page_and_no_others(folder: Path) -> None:
    file = folder / "databases" / "kustomization.yaml"
    said = yaml.safe_load(file.read_text())
    said["resources"].append("outside.yaml")
    said["patches"].append({"path": "cluster-outside.yaml", "target": {"kind": "Cluster", "name": "pg"}})
    file.write_text(yaml.safe_dump(said))
    manifests = build(folder / "databases")
    (folder / "manifests.yaml").write_text(manifests.text)
    assert [verdict for verdict in judge(folder / "manifests.yaml") if verdict.problems] == []
    assert {found.code for found in check_text(manifests.text) if found.code != "issuer_unknown"} == set()
    primary = next(each for each in PLACES if each.name == "postgres")
    policies = manifests.of("NetworkPolicy")
    assert allowed(policies, Place("theirs", "10.20.3.4"), primary, 5432)
    assert not allowed(policies, Place("theirs", "10.20.3.4"), primary, 8000)
    assert not allowed(policies, Place("others", "203.0.113.1"), primary, 5432)


def test_the_folder_with_certificates_from_vault_is_good_and_asks_the_pages_store(tmp_path: Path) -> None:
    shutil.copytree(CNPG, tmp_path / "cnpg")
    for name, block in OF_VAULT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(block)
    manifests = build(tmp_path / "own-store")
    (tmp_path / "manifests.yaml").write_text(manifests.text)
    for file in ("manifests.yaml", "store.yaml"):
        assert [verdict for verdict in judge(tmp_path / file) if verdict.problems] == []
    store = yaml.safe_load(OF_VAULT["store.yaml"])
    asked = [each["spec"]["secretStoreRef"] for each in manifests.of("ExternalSecret")]
    assert asked == [{"kind": store["kind"], "name": store["metadata"]["name"]}] * 2


def test_every_overlay_is_in_the_table() -> None:
    assert sorted(set(re.findall(r"`overlays/([\w-]+)`", PAGE))) == sorted(OVERLAYS)


def test_every_component_is_on_the_page() -> None:
    named = set(re.findall(r"components/([\w-]+)", PAGE))
    assert {folder.name for folder in (CNPG / "components").iterdir()} == named


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_our_own_check_finds_nothing_to_mend(overlay: str, tmp_path: Path) -> None:
    file = tmp_path / "manifests.yaml"
    file.write_text(rendered(overlay).text)
    done = CliRunner().invoke(app, ["cnpg", "check", str(file)])
    assert done.exit_code == 0, done.output
    workloads = overlay in ("kubernetes-workloads", "spire")  # whose tokens have no scopes: a notice
    assert ("notice scope_empty" in done.output) == workloads


def test_what_kustomize_has_moved_asks_where_nobody_is(tmp_path: Path) -> None:
    moved = with_components(tmp_path, ["overlays/service"], namespace="prod").text
    assert [found.code for found in check_text(moved) if found.counts] == ["endpoint_namespace"]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("audience: db:pg", "audience: db:other", "audience_other"),
        ("roles: [app_readonly]", "roles: [app_reader]", "role_unknown"),
        ("pg: {certificate: pg.databases.svc}", "pg: {certificate: pg.databases}", "server_unknown"),
        ("hostname=pgbearer.databases.svc", "hostname=pgbearer.databases", "endpoint_name"),
    ],
)
def test_one_place_of_two_changed_in_what_ships_is_found(old: str, new: str, code: str) -> None:
    text = rendered("service").text
    assert old in text
    assert {found.code for found in check_text(text.replace(old, new)) if found.counts} == {code}


def test_a_second_cluster_of_a_namespace_takes_the_service_of_the_first() -> None:
    """Where kustomize makes both; what is rendered is called after its Cluster."""
    first = rendered("service").text
    second = first.replace("  name: pg\n", "  name: two\n").replace("db:pg", "db:two")
    twice = {found.what for found in check_text(f"{first}---\n{second}") if found.code == "object_twice"}
    assert twice == {"ConfigMap/pgbearer"}
