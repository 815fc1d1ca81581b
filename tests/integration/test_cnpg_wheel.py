"""An installation from the wheel has the manifests whole: it renders, and kustomize builds every component of them."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.cnpg.manifests import CNPG, build

SPEC = """\
version: 1
name: orders
namespace: shop
issuer: https://sso.example.org/realms/corp
audience: db:orders
roles: [{name: orders_reader, inherits: [pg_read_all_data]}]
"""
MADE_BY_HAND = {"certificates-secret"}
"""Of files that make-certificates puts beside it."""
OVER: dict[str, tuple[str, ...]] = {"keycloak-realm-import": (), "sidecar": (), "sidecar-image": ("sidecar",)}
"""What a component needs below it; the service if it is not named."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an environment of its own with the wheel in it, and what it depends on."""
    folder = tmp_path_factory.mktemp("installed")
    build_it = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build_it, cwd=CNPG.parent, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # found after the wheel; the .pth in there, by which this checkout is installed, is not followed
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv"


def manifests(installed: Path) -> Path:
    (found,) = installed.glob("lib/python*/site-packages/pgbearer/cnpg/manifests")
    return found


def run(installed: Path, *words: str | Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(installed / "bin" / "pgbearer"), *map(str, words)]
    done = subprocess.run(command, cwd=installed, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_the_wheel_that_is_asked(installed: Path) -> None:
    python = [str(installed / "bin" / "python"), "-c", "import pgbearer; print(pgbearer.__file__)"]
    said = subprocess.run(python, cwd=installed, check=True, capture_output=True, text=True).stdout
    assert Path(said.strip()).is_relative_to(installed)


def test_it_renders(installed: Path, tmp_path: Path) -> None:
    spec = tmp_path / "orders.yaml"
    spec.write_text(SPEC)
    assert "kind: Cluster" in run(installed, "cnpg", "render", "-f", spec)
    run(installed, "cnpg", "render", "-f", spec, "-o", tmp_path / "out")
    assert build(tmp_path / "out").one("Cluster", "orders")


@pytest.mark.parametrize("component", sorted(each.name for each in (CNPG / "components").iterdir()))
def test_every_component_is_whole(component: str, installed: Path, tmp_path: Path) -> None:
    if component in MADE_BY_HAND:
        assert (manifests(installed) / "components" / component / "make-certificates").stat().st_mode & 0o100
        return
    below = OVER.get(component, () if component == "service" else ("service",))
    parts = [f"components/{name}" for name in (*below, component)]
    here = {part: os.path.relpath(manifests(installed) / part, tmp_path) for part in ("base", *parts)}
    listed = ", ".join(here[part] for part in parts)
    (tmp_path / "kustomization.yaml").write_text(
        f"namespace: databases\nresources: [{here['base']}]\ncomponents: [{listed}]\n"
    )
    assert build(tmp_path).objects
