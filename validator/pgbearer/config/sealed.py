"""Whether a folder is a volume that nobody in this container, and nobody without root outside of it, can write to."""

import os
import re
from pathlib import Path
from typing import Final

__all__ = ["is_sealed"]

_MOUNTS: Final = Path("/proc/self/mountinfo")
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


def is_sealed(folder: Path, mounts: Path = _MOUNTS) -> bool:
    """Whether `folder` is the whole of a file system in memory that is mounted here, and here only to be read.

    That is what a kubelet makes of a Secret or a projected volume: its top folder has the mode 0777
    (pkg/volume/emptydir of Kubernetes), but containers get it read-only, and on the node it stands below folders that
    only root can enter. A folder of a disk that is merely mounted read-only is not meant: elsewhere on this machine the
    same folder may be open to others, as it is for a service under systemd's ``ProtectSystem=``.

    Args:
        folder: an absolute path without links.
        mounts: the kernel's table (proc_pid_mountinfo(5)); where there is none, nothing is sealed.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return False
    found = [fields for fields in map(str.split, lines) if _unescaped(fields[4]) == os.fspath(folder)]
    if not found:
        return False
    top = found[-1]  # the last one lies on top
    return top[3] == "/" and "ro" in top[5].split(",") and top[top.index("-") + 1] == "tmpfs"


def _unescaped(path: str) -> str:
    r"""As the kernel writes a space: ``\040``."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), path)
