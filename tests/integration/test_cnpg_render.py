"""What is rendered is what kustomize builds of the same: with the spec's patches, and of what ships."""

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
from tests.cnpg.manifests import CNPG, OVERLAYS, build, rendered
from tests.klite.verdict import conform, judge
from tests.unit.test_cnpg_render import MODES, PASSWORD, spec


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
    made = render(spec(**mode, **change), "s.yaml")
    write(made, tmp_path / "out")
    built = build(tmp_path / "out")
    assert data(yaml.safe_load_all(made.text())) == data(built.objects)


@pytest.mark.parametrize(
    ("overlay", "components"), [("service", ["service", "certificates-cert-manager"]), ("sidecar", ["sidecar"])]
)
def test_what_ships_is_put_together_as_kustomize_does(overlay: str, components: list[str]) -> None:
    assert by_name(assemble(components, "databases")) == by_name(rendered(overlay).objects)


@pytest.mark.parametrize("mode", MODES)
def test_the_api_server_and_the_operator_would_take_it(mode: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(render(spec(**mode), "s.yaml").text())
    assert conform(file) == ""
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


def test_a_folder_with_something_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(spec(mode="sidecar").model_dump_json(exclude_defaults=False))
    result = CliRunner().invoke(app, ["cnpg", "render", "-f", str(file), "-o", str(tmp_path)])
    assert getattr(result.exception, "exit_code", None) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["spec.yaml"]
    assert CliRunner().invoke(app, ["cnpg", "render", "-f", str(file)]).stdout.startswith("apiVersion")
