"""docker-bake.hcl as buildx itself reads it: names, bases and labels, and what makes an image the same each time."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pgbearer.cnpg.spec import Images
from tests.cnpg.manifests import CNPG, OVERLAYS, rendered
from tests.klite import our_images, programs
from tests.unit.test_image_files import ARCHITECTURES

ROOT = CNPG.parent
IMAGE = CNPG / "image"
EPOCH = 1764355200  # 2025-11-28 18:40:00 UTC
MAJORS = ("18", "19")
TARGETS = [f"{kind}-{major}" for kind in ("module", "operand") for major in MAJORS] + ["service"]
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What would be built, as buildx prints it."""
    files = ["-f", "cnpg/image/metadata.hcl", "-f", "cnpg/image/docker-bake.hcl"]
    given = {"SOURCE_DATE_EPOCH": str(EPOCH), "revision": "0123abcd", "registry": "registry.corp.example"}
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path_factory.mktemp("home")), **given}
    words = [str(programs.buildx()), "bake", *files, "--print"]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)["target"]
    return found


def version() -> str:
    """The project's, as its release will be called."""
    written: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return re.sub(r"\.dev\d+$", "", written)


def test_what_is_built(targets: dict[str, dict[str, Any]]) -> None:
    assert sorted(targets) == TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_each_is_for_both_architectures_the_same_each_time_and_says_what_is_in_it(
    targets: dict[str, dict[str, Any]], name: str
) -> None:
    target = targets[name]
    assert target["platforms"] == ["linux/amd64", "linux/arm64"]
    assert target["args"]["SOURCE_DATE_EPOCH"] == str(EPOCH)
    assert target["output"] == [{"type": "image", "rewrite-timestamp": "true"}]
    assert target["attest"] == [{"type": "provenance", "mode": "max"}, {"type": "sbom"}]
    assert not any(ARCHITECTURES.search(value) for value in target["args"].values())


@pytest.mark.parametrize("name", TARGETS)
def test_labels(targets: dict[str, dict[str, Any]], name: str) -> None:
    labels = {
        key.rpartition(".")[2]: value for key, value in targets[name]["labels"].items() if "opencontainers" in key
    }
    assert labels["version"] == version()
    assert labels["created"] == "2025-11-28T18:40:00Z"
    assert labels["revision"] == "0123abcd"
    assert labels["licenses"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    assert labels["name"] == ("scratch" if name.startswith("module") else targets[name]["args"]["BASE"])
    assert all(labels[key] for key in ("title", "description", "vendor"))


@pytest.mark.parametrize("major", MAJORS)
def test_the_extension_image_says_for_which_postgresql_it_is(targets: dict[str, dict[str, Any]], major: str) -> None:
    target = targets[f"module-{major}"]
    said = {key.rpartition(".")[2]: value for key, value in target["labels"].items() if "cloudnativepg" in key}
    assert said == {"name": target["args"]["BASE"], "pgmajor": major, "os": "trixie"}
    assert target["args"]["PG_MAJOR"] == major == targets[f"operand-{major}"]["args"]["PG_MAJOR"]


def test_bases_are_those_of_the_manifests(targets: dict[str, dict[str, Any]]) -> None:
    def base(name: str) -> str:
        return DIGEST.sub("", targets[name]["args"]["BASE"])

    assert base("module-18") == base("operand-18") == Images().postgres
    assert base("module-19") == base("operand-19") == Images().postgres.replace(":18-", ":19-")
    for dockerfile, name in (("module", "module-18"), ("service", "service")):
        assert f"ARG BASE={base(name)}\n" in (IMAGE / f"{dockerfile}.Dockerfile").read_text()


def test_a_base_without_a_digest_is_told_of(targets: dict[str, dict[str, Any]]) -> None:
    bases = {target["args"]["BASE"] for target in targets.values()}
    unpinned = [base for base in bases if not DIGEST.search(base)]
    assert ("No digests: none could be looked up" in (IMAGE / "metadata.hcl").read_text()) == bool(unpinned)


def test_names_are_those_of_the_manifests(targets: dict[str, dict[str, Any]]) -> None:
    def names(name: str) -> list[str]:
        return [tag.replace("registry.corp.example/", "registry.example/") for tag in targets[name]["tags"]]

    moduled, dated = names("module-18")
    assert moduled == our_images.MODULE == f"registry.example/pgbearer-module:{version()}-18-trixie"
    assert dated == f"registry.example/pgbearer-module:{version()}-202511281840-18-trixie"
    assert names("service") == [our_images.SERVICE] == [f"registry.example/pgbearer:{version()}"]
    for major in MAJORS:  # CloudNativePG takes the version of PostgreSQL from the beginning of the tag
        assert names(f"operand-{major}") == [f"registry.example/pgbearer-postgresql:{major}-{version()}-trixie"]


def test_manifests_want_no_image_that_is_not_built(targets: dict[str, dict[str, Any]]) -> None:
    built = {
        tag.replace("registry.corp.example/", "registry.example/") for each in targets.values() for tag in each["tags"]
    }
    wanted = set()
    for overlay in OVERLAYS:
        wanted |= set(re.findall(r"registry\.example/pgbearer[\w./:-]*", rendered(overlay).text))
    assert wanted
    assert wanted <= built


@pytest.mark.parametrize("name", TARGETS)
def test_each_is_a_stage_that_is_there(targets: dict[str, dict[str, Any]], name: str) -> None:
    target = targets[name]
    assert target["context"] == "."
    text = Path(ROOT / target["dockerfile"]).read_text()
    assert re.search(rf"^FROM \S+ AS {target['target']}$", text, re.MULTILINE)
    assert set(target["args"]) <= set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
