"""The module from its images, in PostgreSQL: as an image volume where the operator mounts it, and where $libdir is."""

import shutil
from pathlib import Path

from tests.integration.fix_image import answers
from tests.parts import image

# as the operator sets them
VOLUME = (
    "dynamic_library_path=$libdir:/extensions/pgbearer/lib",
    "extension_control_path=$system:/extensions/pgbearer/share",
)


def test_loads_as_an_image_volume(module_tree: tuple[int, Path], tmp_path: Path) -> None:
    major, tree = module_tree
    volume = tmp_path / "volume"
    shutil.copytree(tree, volume / "extensions/pgbearer")
    (tmp_path / "work").mkdir()
    layers = [volume, image.compiler(major).path]
    done = answers(layers, major, tmp_path / "work", *VOLUME)
    assert done.returncode == 0, done.stderr
    assert 'pgbearer.connect_timeout = "' in done.stdout
    assert 'ours = "0"' in done.stdout
    assert 'others = "t"' in done.stdout


def test_loads_from_the_operands_own_folder(operand_tree: tuple[int, Path], tmp_path: Path) -> None:
    major, tree = operand_tree
    done = answers([tree, image.compiler(major).path], major, tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'pgbearer.connect_timeout = "' in done.stdout


def test_without_either_there_is_nothing_to_load(operand_tree: tuple[int, Path], tmp_path: Path) -> None:
    major, _ = operand_tree
    for part in ("empty", "work"):
        (tmp_path / part).mkdir()
    done = answers([tmp_path / "empty", image.compiler(major).path], major, tmp_path / "work")
    assert done.returncode != 0
    assert 'could not access file "pgbearer"' in done.stderr
