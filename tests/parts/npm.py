"""Packages of npm, fetched by the hashes of a lock file."""

import json
import shutil
import subprocess
from pathlib import Path

from tests.parts.progress import step

__all__ = ["NpmError", "install", "version"]


class NpmError(Exception):
    """Npm could not fetch the packages, or what it fetched has another hash; the message ends with its words."""


def version(lock: Path, package: str) -> str:
    """The version of `package` that the package-lock.json in the folder `lock` pins."""
    locked = json.loads((lock / "package-lock.json").read_text())
    return str(locked["packages"][f"node_modules/{package}"]["version"])


def install(lock: Path, folder: Path, what: str) -> None:
    """Fetch what the package-lock.json in the folder `lock` pins, into ``node_modules`` of `folder`.

    No script of any package runs.

    Args:
        lock: the folder of package.json and package-lock.json.
        folder: where it goes.
        what: for the screen: the name, and how large it is.

    Raises:
        NpmError: it could not.
    """
    for name in ("package.json", "package-lock.json"):
        shutil.copy(lock / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    with step(f"npm fetches {what}"):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NpmError(f"npm could not fetch {what}: {done.stderr.strip()[-2000:]}")
