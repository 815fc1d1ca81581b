"""The module from its images, in PostgreSQL: as an image volume where the operator mounts it, and where $libdir is."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.integration.fix_image import command
from tests.parts import image
from tests.parts.debian import INSIDE, DebianRoot

NOBODY = 65534
QUESTIONS = """SHOW pgbearer.connect_timeout;
SELECT count(*) AS ours FROM pg_available_extensions WHERE name = 'pgbearer';
SELECT count(*) > 0 AS others FROM pg_available_extensions;
"""


def ask(layers: list[Path], major: int, folder: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    """Answers of a server without a network, whose root is read-only, with the module preloaded."""
    os.chown(folder, NOBODY, NOBODY)
    programs = f"/usr/lib/postgresql/{major}/bin"
    data = ["-D", f"{INSIDE}/data"]
    made = [f"{programs}/initdb", *data, "-U", "postgres", "--no-sync", "--locale=C.UTF-8"]
    subprocess.run(command(layers, folder, *made, uid=NOBODY), check=True, capture_output=True)
    options = [f"-c{each}" for each in ("shared_preload_libraries=pgbearer", *settings)]
    words = [f"{programs}/postgres", "--single", *data, *options, "postgres"]
    return subprocess.run(
        command(layers, folder, *words, uid=NOBODY), input=QUESTIONS, capture_output=True, text=True, timeout=60
    )


def test_loads_as_an_image_volume(module_tree: tuple[int, Path], tmp_path: Path) -> None:
    major, tree = module_tree
    volume = tmp_path / "volume"
    shutil.copytree(tree, volume / "extensions/pgbearer")
    (tmp_path / "work").mkdir()
    layers = [volume, DebianRoot.of(image.COMPILERS[major]).path]
    # as the operator sets them
    paths = (
        "dynamic_library_path=$libdir:/extensions/pgbearer/lib",
        "extension_control_path=$system:/extensions/pgbearer/share",
    )
    done = ask(layers, major, tmp_path / "work", *paths)
    assert done.returncode == 0, done.stderr
    assert 'pgbearer.connect_timeout = "' in done.stdout
    assert 'ours = "0"' in done.stdout
    assert 'others = "t"' in done.stdout


def test_loads_from_the_operands_own_folder(operand_tree: tuple[int, Path], tmp_path: Path) -> None:
    major, tree = operand_tree
    done = ask([tree, DebianRoot.of(image.COMPILERS[major]).path], major, tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'pgbearer.connect_timeout = "' in done.stdout


def test_without_either_there_is_nothing_to_load(operand_tree: tuple[int, Path], tmp_path: Path) -> None:
    major, _ = operand_tree
    for part in ("empty", "work"):
        (tmp_path / part).mkdir()
    done = ask([tmp_path / "empty", DebianRoot.of(image.COMPILERS[major]).path], major, tmp_path / "work")
    assert done.returncode != 0
    assert 'could not access file "pgbearer"' in done.stderr
