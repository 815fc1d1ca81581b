"""The files of examples/, where a test may change them."""

import shutil
from pathlib import Path
from typing import Final

__all__ = ["EXAMPLES", "copy_examples"]

EXAMPLES: Final = Path(__file__).parents[2] / "examples"


def copy_examples(folder: Path) -> Path:
    """All of them into `folder`, which like each of them only its owner can change; gives pgbearer.yaml there."""
    shutil.copytree(EXAMPLES, folder, dirs_exist_ok=True)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder / "pgbearer.yaml"
