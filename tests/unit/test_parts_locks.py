"""What parts are fetched by: each by its hash, from whatever registry the machine's own clients use."""

import json
import re
from pathlib import Path

import pytest

from tests.klite import programs
from tests.parts import cerbos, drivers, golang, opa

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
KLITE = Path(programs.__file__).parent


def test_no_lock_names_a_host() -> None:
    for file in REQUIREMENTS.rglob("*"):
        if file.is_file() and file.suffix != ".md":
            assert not re.search(r"https?://|--index-url|\"resolved\"", file.read_text()), file.name


@pytest.mark.parametrize("folder", ["cerbos", "node"])
def test_every_package_of_npm_has_its_hash(folder: str) -> None:
    lock = json.loads((REQUIREMENTS / folder / "package-lock.json").read_text())
    packages = [package for name, package in lock["packages"].items() if name]
    assert packages
    assert all(package["integrity"].startswith("sha512-") for package in packages)


def test_the_versions_are_those_of_the_locks() -> None:
    versions = drivers.versions()
    for folder, version in (("cerbos", cerbos.version()), ("node", versions["node-postgres"])):
        (wanted,) = json.loads((REQUIREMENTS / folder / "package.json").read_text())["dependencies"].values()
        assert version == wanted
    sums = (REQUIREMENTS / "opa" / "go.sum").read_text()
    assert f"github.com/open-policy-agent/opa v{opa.version()} h1:" in sums
    assert f"github.com/jackc/pgx/v5 v{versions['pgx']} h1:" in (drivers.PROGRAMS / "pgx" / "go.sum").read_text()


@pytest.mark.parametrize(
    ("folder", "module"),
    [
        ("check", "github.com/cloudnative-pg/cloudnative-pg"),
        ("certmanager", "github.com/cert-manager/cert-manager"),
    ],
)
def test_what_is_built_around_a_module_has_the_version_whose_definitions_are_applied(folder: str, module: str) -> None:
    required = (KLITE / folder / "go.mod").read_text()
    assert f"{module} v{programs.version(module)}\n" in required


def test_external_secrets_runs_at_the_version_whose_definitions_are_applied() -> None:
    module = "github.com/external-secrets/external-secrets"
    pinned = {folder: (REQUIREMENTS / folder / "go.mod").read_text() for folder in ("crds", "external-secrets")}
    for required in pinned.values():
        assert re.search(rf"{module} v{re.escape(programs.version(module))}( // indirect)?\n", required)


def test_what_answers_for_a_kubelet_has_the_library_of_the_api_servers_version() -> None:
    (library,) = re.findall(r"k8s\.io/cri-streaming v0\.(\S+)", (KLITE / "streams/go.mod").read_text())
    assert f"1.{library}" == programs.version("k8s.io/kubernetes")


@pytest.mark.parametrize(
    ("said", "wanted", "enough"),
    [
        ("go1.26.8", "1.26.0", True),
        ("go1.26.0", "1.26.0", True),
        ("go1.27", "1.26.8", True),
        ("go1.27rc1", "1.26.8", True),
        ("go1.9.7", "1.26.0", False),
        ("go1.25.9", "1.26.0", False),
        ("devel +abc", "1.26.0", False),
        ("", "1.26.0", False),
    ],
)
def test_an_older_go_is_not_enough(said: str, wanted: str, enough: bool) -> None:
    assert (golang._number(said) >= golang._number(f"go{wanted}")) == enough
