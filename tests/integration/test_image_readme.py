"""cnpg/image/README.md: its commands are run here, the first one up to where an engine would be needed."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pgbearer.cli import app
from tests.cnpg.manifests import CNPG, build, rendered
from tests.klite import programs
from tests.klite.verdict import conform, judge
from tests.parts import image
from tests.parts.debian import PYTHON_PIP, DebianRoot
from tests.parts.needs import DEBOOTSTRAP, ROOT

TOP = CNPG.parent
PAGE = (CNPG / "image" / "README.md").read_text()
BUILD, LOAD, ASSEMBLE = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
(OPERAND,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=TOP, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def baked(tmp_path: Path) -> Callable[[str], dict[str, dict[str, Any]]]:
    """Runs commands in which `docker buildx` is buildx alone, and only says what it would do, for a rare machine."""
    docker = tmp_path / "docker"
    docker.write_text(
        f'#!/bin/sh\n[ "$1" = version ] && echo linux/s390x && exit\n'
        f'[ "$1" = buildx ] && shift && exec {programs.buildx()} "$@" --print\n'
    )
    docker.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}

    def run(commands: str) -> dict[str, dict[str, Any]]:
        done = subprocess.run(["sh", "-ec", commands], cwd=TOP, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found: dict[str, dict[str, Any]] = json.loads(done.stdout)["target"]
        return found

    return run


def test_the_build_is_of_this_commit_and_is_pushed(baked: Callable[[str], dict[str, dict[str, Any]]]) -> None:
    targets = baked(BUILD)
    assert len(targets) == 5
    for target in targets.values():
        assert target["args"]["SOURCE_DATE_EPOCH"] == git("log", "-1", "--format=%ct")
        assert target["labels"]["org.opencontainers.image.revision"] == git("rev-parse", "HEAD")
        assert all(tag.startswith("registry.corp.example/") for tag in target["tags"])
        assert target["output"] == [{"type": "image", "rewrite-timestamp": "true", "push": "true"}]


def test_what_kind_takes_is_left_in_the_engine_under_the_names_of_the_manifests(
    baked: Callable[[str], dict[str, dict[str, Any]]],
) -> None:
    targets = baked(LOAD)
    for target in targets.values():
        assert target["platforms"] == ["linux/s390x"]
        assert target["output"] == [{"type": "docker"}]
        assert all(each["disabled"] for each in target["attest"])
    tags = {tag for target in targets.values() for tag in target["tags"]}
    kind = (TOP / "docs" / "cloudnativepg-kind.md").read_text()
    (loaded,) = re.findall(r"kind load docker-image --name pgbearer (.*)", kind)
    assert set(loaded.split()) <= tags
    assert all(name in rendered("quickstart").text for name in loaded.split())


def test_one_image_alone_and_a_mirror(baked: Callable[[str], dict[str, dict[str, Any]]], tmp_path: Path) -> None:
    (tmp_path / "pip.conf").touch()
    (mirror,) = re.findall(r"`(--set [^`]+)`", PAGE)
    names = re.search(r"One image alone: (.*?) as a last word", PAGE)
    assert names is not None
    for name in re.findall(r"`([^`]+)`", names[1]):
        targets = baked(f"{BUILD.rstrip()} {mirror.replace('src=', f'src={tmp_path}/')} {name}")
        assert list(targets) == [name]
        assert targets[name]["secret"] == [{"id": "pip.conf", "src": str(tmp_path / "pip.conf")}]
    mounted = re.search(
        r"--mount=type=secret,id=(\S+),target=/etc/pip.conf", (CNPG / "image/service.Dockerfile").read_text()
    )
    assert mounted is not None
    assert mounted[1] == "pip.conf"


@pytest.mark.parametrize("line", ASSEMBLE.splitlines())
def test_assembling_makes_what_the_images_have(line: str, need: Callable[..., None], tmp_path: Path) -> None:
    need(ROOT, DEBOOTSTRAP)
    script, kind, *words = shlex.split(line)
    assert (TOP / script).is_file()
    out = words.index("--out")
    assert words[out + 1] == f"build/{kind}"
    root, sources = (
        (DebianRoot.of(PYTHON_PIP), image.SERVICE_SOURCES)
        if kind == "service"
        else (image.compiler(18), image.MODULE_SOURCES)
    )
    image.assemble(tmp_path, kind, root, sources, *words[:out])
    made = image.service() if kind == "service" else {"module": image.module, "operand": image.operand}[kind](18)
    same = subprocess.run(["diff", "-r", tmp_path / "tree", made], capture_output=True, text=True)
    assert (same.returncode, same.stdout) == (0, "")


def test_an_older_kubernetes_gets_the_module_with_postgresql(tmp_path: Path) -> None:
    (tmp_path / "operand.yaml").write_text(OPERAND)
    (tmp_path / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "resources": [os.path.relpath(CNPG / "overlays/service", tmp_path)],
                "patches": [{"path": "operand.yaml", "target": {"kind": "Cluster", "name": "pg"}}],
                # as the page's own folder says it: both come from where its reader pushes them
                "images": [{"name": "registry.example/pgbearer", "newName": "registry.corp.example/pgbearer"}],
            }
        )
    )
    manifests = build(tmp_path)
    file = tmp_path / "manifests.yaml"
    file.write_text(manifests.text)
    assert conform(file) == ""
    assert [verdict for verdict in judge(file) if verdict.problems] == []
    spec = manifests.one("Cluster", "pg")["spec"]
    assert "extensions" not in spec["postgresql"]
    assert spec["postgresql"]["shared_preload_libraries"] == ["pgbearer"]
    done = CliRunner().invoke(app, ["cnpg", "check", str(file)])
    assert done.exit_code == 0, done.output
