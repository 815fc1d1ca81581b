"""The trees of our images as cnpg/image/assemble makes them, in Debian roots that stand for stages of the Dockerfiles.

A tree is made once for each state of what it is made from, and never written to again. Needs root.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.parts.cache import cached
from tests.parts.debian import COMPILE_18, COMPILE_19, INSIDE, PYTHON, PYTHON_PIP, DebianRoot, Recipe

__all__ = [
    "COMPILERS",
    "MODULE_SOURCES",
    "PG_CONFIG",
    "SERVICE_SOURCES",
    "ImageError",
    "assemble",
    "base",
    "module",
    "operand",
    "service",
]

_TOP: Final = Path(__file__).parents[2]
MODULE_SOURCES: Final = ("LICENSE", "pyproject.toml", "cnpg/image/assemble", "validator/pgmodule")
"""All that goes into the module's images."""
SERVICE_SOURCES: Final = (
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "requirements/build.txt",
    "requirements/service.txt",
    "cnpg/base",
    "cnpg/components",
    "cnpg/image/assemble",
    "validator/pgbearer",
)
"""All that goes into the service's image, beside what requirements/ pins."""
COMPILERS: Final = {18: COMPILE_18, 19: COMPILE_19}
"""What each PostgreSQL's module is compiled in."""
PG_CONFIG: Final = "/usr/lib/postgresql/{major}/bin/pg_config"
"""Where that has it."""
_PYTHON: Final = "3.13"  # of Debian trixie
_GLIBC: Final = 41  # 2.41, of Debian trixie
_LEFTOVERS: Final = shutil.ignore_patterns("__pycache__", "*.so", "*.o", "*.bc")


class ImageError(Exception):
    """A tree could not be made; the message has what was printed."""


def module(major: int) -> Path:
    """The tree of the extension image for PostgreSQL `major`, compiled by Debian's compiler for Debian's server.

    Raises:
        MissingError: not root, or no debootstrap.
        DebianError, ImageError: it could not be made.
    """
    return _cached("module", major)


def operand(major: int) -> Path:
    """The layer with the module for over an image of PostgreSQL `major`; raises as `module`."""
    return _cached("operand", major)


def service() -> Path:
    """The layer with the service for over `base`; raises as `module`."""
    key = f"{PYTHON_PIP!r} {_state(SERVICE_SOURCES)}"
    return cached("image-service", key, lambda folder: _keep(folder, "service", PYTHON_PIP, SERVICE_SOURCES)) / "tree"


def base() -> Path:
    """What the service's image stands on; raises as `module`, but for ImageError."""
    return DebianRoot.of(PYTHON).path


def assemble(
    folder: Path, image: str, recipe: Recipe, sources: Sequence[str], *words: str, within: str = "source"
) -> str:
    """Make the tree `folder`/tree from nothing but `sources`, and return its digest as the script prints it.

    They stand in `folder`/`within` meanwhile, which what is made must not depend on.
    """
    _copy(sources, folder / within)
    offline = []
    if image == "service":
        shutil.copytree(_wheels(), folder / "wheels", copy_function=os.link)
        offline = ["PIP_NO_INDEX=1", f"PIP_FIND_LINKS={INSIDE}/wheels"]
    script = [f"{INSIDE}/{within}/cnpg/image/assemble", image, "--out", f"{INSIDE}/tree", *words]
    command = DebianRoot.of(recipe).with_bind(folder, INSIDE).command("env", *offline, *script, user="root")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise ImageError(f"{image}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def _cached(image: str, major: int) -> Path:
    recipe = COMPILERS[major]
    words = ("--pg-config", PG_CONFIG.format(major=major))
    key = f"{recipe!r} {_state(MODULE_SOURCES)}"

    def make(folder: Path) -> None:
        _keep(folder, image, recipe, MODULE_SOURCES, *words)

    return cached(f"image-{image}-{major}", key, make) / "tree"


def _keep(folder: Path, image: str, recipe: Recipe, sources: Sequence[str], *words: str) -> None:
    """Only the tree, of what was needed to make it."""
    assemble(folder, image, recipe, sources, *words)
    for beside in ("source", "wheels"):
        shutil.rmtree(folder / beside, ignore_errors=True)


def _wheels() -> Path:
    """What requirements/ pins for the Python of the image, fetched by hash with this machine's own pip."""
    locks = [_TOP / "requirements" / name for name in ("service.txt", "build.txt")]
    machine = platform.machine()
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(_GLIBC, 4, -1)] + [f"manylinux2014_{machine}"]
    for_image = ["--python-version", _PYTHON, "--implementation", "cp", *(f"--platform={tag}" for tag in tags)]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]

    def fetch(folder: Path) -> None:
        for lock in locks:
            exact = ["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(lock), "--dest", str(folder)]
            done = subprocess.run([*pip, *exact, *for_image], capture_output=True, text=True)
            if done.returncode != 0:
                raise ImageError(f"pip could not fetch {lock.name}\n{done.stderr}")

    key = " ".join([_PYTHON, machine, *(lock.read_text() for lock in locks)])
    return cached("wheels-service", key, fetch)


def _copy(sources: Sequence[str], to: Path) -> None:
    for name in sources:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        if (_TOP / name).is_dir():
            shutil.copytree(_TOP / name, to / name, ignore=_LEFTOVERS)
        else:
            shutil.copy(_TOP / name, to / name)


def _state(sources: Sequence[str]) -> str:
    total = hashlib.sha256()
    for name, file in _files(sources):
        total.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _files(sources: Sequence[str]) -> Iterator[tuple[str, Path]]:
    for name in sources:
        top = _TOP / name
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            skipped = _LEFTOVERS(str(file.parent), list(file.relative_to(_TOP).parts))
            if file.is_file() and not skipped:
                yield str(file.relative_to(_TOP)), file
