"""What a kubelet writes into a volume of settings, in the way it does: whole, and exchanged by one rename.

The files stand in a folder with a time for its name, the symlink ``..data`` leads there, and each name that a pod sees
leads through it (Kubernetes' pkg/volume/util/atomic_writer.go).
"""

import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["DATA", "File", "give_to_group", "write"]

DATA: Final = "..data"
_FOLDER_MODE: Final = 0o755
_GROUP_READS: Final = 0o440
_GROUP_ENTERS: Final = 0o2110


@dataclass(frozen=True, slots=True)
class File:
    """A file's content, its mode as the volume asks for it, and its owner."""

    content: bytes = field(repr=False)
    mode: int
    uid: int = 0


def write(folder: Path, files: Mapping[str, File], group: int | None) -> None:
    """Make `files` what `folder` has, by their paths in it: all of them at once, and nothing else afterwards.

    Args:
        folder: exists; what was written here before is replaced.
        files: by relative path.
        group: the pod's ``fsGroup``, which may read everything.
    """
    before = (folder / DATA).readlink() if (folder / DATA).is_symlink() else None
    fresh = folder / f"..{secrets.token_hex(8)}"
    fresh.mkdir()
    fresh.chmod(_FOLDER_MODE)
    for path, file in files.items():
        _put(fresh / path, file)
    if group is not None:
        give_to_group(fresh, group, _GROUP_READS)
    new = folder / "..data_tmp"
    new.symlink_to(fresh.name)
    new.rename(folder / DATA)
    visible = {path.partition("/")[0] for path in files}
    for name in visible:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"{DATA}/{name}")
    for each in folder.iterdir():
        if not each.name.startswith("..") and each.name not in visible:
            each.unlink()
    if before is not None:
        shutil.rmtree(folder / before)


def give_to_group(folder: Path, group: int, access: int) -> None:
    """Let `group` have `access` to all in `folder`, as the kubelet does for an ``fsGroup``.

    By Kubernetes' pkg/volume/volume_linux.go: a private key of mode 0400 becomes 0440.
    """
    for each in (folder, *folder.rglob("*")):
        os.chown(each, -1, group, follow_symlinks=False)
        if not each.is_symlink():
            more = access | (_GROUP_ENTERS if each.is_dir() else 0)
            each.chmod(each.stat().st_mode | more)


def _put(file: Path, what: File) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as out:
        out.write(what.content)
    os.chown(file, what.uid, -1)
    file.chmod(what.mode)
