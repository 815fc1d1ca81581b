"""The images for arm64: made from the same files, and run by PostgreSQL and Python for arm64 in QEMU."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.fix_image import UID, answers, command, needed, running
from tests.integration.test_image_module import VOLUME
from tests.integration.test_image_service import get, settings
from tests.parts import arm64, image
from tests.parts.debian import INSIDE
from tests.parts.needs import DEBOOTSTRAP, NAMESPACED_BINFMT, ROOT
from tests.parts.ports import free_port
from tests.parts.processes import wait_until

AARCH64 = 183
"""EM_AARCH64 of <elf.h>."""


@pytest.fixture(scope="module", params=[18, 19])
def module_tree(request: pytest.FixtureRequest, need: Callable[..., None]) -> tuple[int, Path]:
    """PostgreSQL's major version, and the tree of the extension image for it."""
    need(ROOT, DEBOOTSTRAP, NAMESPACED_BINFMT)
    return request.param, image.module(request.param, arm64.ARCHITECTURE)


@pytest.fixture(scope="module")
def service_tree(need: Callable[..., None]) -> Path:
    """The layer with the service."""
    need(ROOT, DEBOOTSTRAP, NAMESPACED_BINFMT)
    return image.service(arm64.ARCHITECTURE)


def processor(file: Path) -> int | None:
    """What an ELF file is for; None of another file."""
    with file.open("rb") as opened:
        head = opened.read(20)
    return int.from_bytes(head[18:20], "little") if head.startswith(b"\x7fELF") else None


def files(tree: Path) -> dict[str, Path]:
    return {str(path.relative_to(tree)): path for path in tree.rglob("*") if path.is_file()}


def test_the_module_is_for_arm64_alone(module_tree: tuple[int, Path]) -> None:
    major, tree = module_tree
    native = image.module(major)
    assert files(tree).keys() == files(native).keys()
    assert processor(tree / "lib/pgbearer.so") == AARCH64 != processor(native / "lib/pgbearer.so")
    assert needed(tree / "lib/pgbearer.so") - needed(native / "lib/pgbearer.so") <= {"ld-linux-aarch64.so.1"}


def test_loads_as_an_image_volume(module_tree: tuple[int, Path], tmp_path: Path) -> None:
    major, tree = module_tree
    volume = tmp_path / "volume"
    shutil.copytree(tree, volume / "extensions/pgbearer")
    (tmp_path / "work").mkdir()
    layers = [volume, *arm64.server(major)]
    done = answers(layers, major, tmp_path / "work", *VOLUME, run_by=arm64.emulation())
    assert done.returncode == 0, done.stderr
    assert 'pgbearer.connect_timeout = "' in done.stdout


def test_that_server_takes_no_module_for_this_machine(module_tree: tuple[int, Path], tmp_path: Path) -> None:
    major, _ = module_tree
    volume = tmp_path / "volume"
    shutil.copytree(image.module(major), volume / "extensions/pgbearer")
    (tmp_path / "work").mkdir()
    layers = [volume, *arm64.server(major)]
    done = answers(layers, major, tmp_path / "work", *VOLUME, run_by=arm64.emulation())
    assert done.returncode != 0
    assert "pgbearer.so" in done.stderr


def test_the_service_differs_in_what_is_compiled_alone(service_tree: Path) -> None:
    ours, native = files(service_tree), files(image.service())
    compiled = {name for name, file in ours.items() if processor(file) is not None}
    assert compiled
    assert {processor(ours[name]) for name in compiled} == {AARCH64}
    assert {name for name in ours if name.endswith(".py")} == {name for name in native if name.endswith(".py")}
    for name in ours.keys() & native.keys() - compiled:
        about = name.endswith((".dist-info/RECORD", ".dist-info/WHEEL")) or name.startswith("sbom/")
        assert about or "/sboms/" in name or ours[name].read_bytes() == native[name].read_bytes(), name


def test_the_service_answers(service_tree: Path, tmp_path: Path) -> None:
    os.chown(tmp_path, UID, UID)
    port = free_port()
    settings(tmp_path, UID, port)
    layers = [service_tree, image.base(arm64.ARCHITECTURE)]
    words = ["pgbearer", "serve", "-c", f"{INSIDE}/pgbearer.yaml"]
    with running(layers, tmp_path, *words, run_by=arm64.emulation()) as (process, log):
        wait_until(lambda: get(port, "/healthz")[0] == 200 or not process.alive(), 120, "the service to answer")
        assert process.alive(), log.read_text()
        assert get(port, "/readyz")[0] == 503


def test_it_is_python_for_arm64_that_runs_it(service_tree: Path, tmp_path: Path) -> None:
    layers = [service_tree, image.base(arm64.ARCHITECTURE)]
    asked = command(layers, tmp_path, "python3", "-c", "import os; print(os.uname().machine)", run_by=arm64.emulation())
    done = subprocess.run(asked, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("aarch64\n", "")


def test_nothing_of_it_is_registered_on_the_machine(module_tree: tuple[int, Path], tmp_path: Path) -> None:
    del module_tree
    before = sorted(Path("/proc/sys/fs/binfmt_misc").iterdir())
    seen = [*arm64.emulation(), "ls", "/proc/sys/fs/binfmt_misc"]
    assert "arm64" in subprocess.run(seen, capture_output=True, text=True, check=True).stdout.split()
    assert sorted(Path("/proc/sys/fs/binfmt_misc").iterdir()) == before
