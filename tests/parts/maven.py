"""One file of a Maven repository, by its coordinates and its hash."""

import hashlib
import subprocess
from pathlib import Path

from tests.parts.progress import step

__all__ = ["MavenError", "fetch"]


class MavenError(Exception):
    """Maven could not fetch the file, or what it fetched is not the pinned one."""


def fetch(artifact: str, sha256: str, folder: Path, size: str) -> Path:
    """Fetch `artifact` into `folder`, as ``NAME-VERSION.TYPE``.

    Args:
        artifact: group, name, version and type with colons between.
        sha256: of the file, in hex.
        folder: where it goes.
        size: for the screen.

    Raises:
        MavenError: it could not.
    """
    _, name, version, kind = artifact.split(":")
    copy = ["mvn", "-B", "-q", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"]
    with step(f"Maven fetches {artifact} ({size}, or what it already has)"):
        done = subprocess.run(copy, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise MavenError(f"Maven could not fetch {artifact}:\n{done.stdout[-2000:]}")
    file = folder / f"{name}-{version}.{kind}"
    with file.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != sha256:
        raise MavenError(f"{file.name} is not the pinned one: sha256 {found}, expected {sha256}")
    return file
