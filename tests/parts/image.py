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

from tests.parts import arm64
from tests.parts.cache import cached
from tests.parts.debian import COMPILE_18, COMPILE_19, INSIDE, PYTHON, PYTHON_PIP, DebianRoot

__all__ = [
    "COMPILERS",
    "MODULE_SOURCES",
    "NATIVE",
    "PG_CONFIG",
    "SERVICE_SOURCES",
    "ImageError",
    "assemble",
    "base",
    "compiler",
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
NATIVE: Final = "native"
"""The processor of this machine."""
_KERNELS_WORD: Final = {NATIVE: platform.machine(), arm64.ARCHITECTURE: "aarch64"}
_PYTHON: Final = "3.13"  # of Debian trixie
_GLIBC: Final = 41  # 2.41, of Debian trixie
_LEFTOVERS: Final = shutil.ignore_patterns("__pycache__", "*.so", "*.o", "*.bc")


class ImageError(Exception):
    """A tree could not be made; the message has what was printed."""


def module(major: int, architecture: str = NATIVE) -> Path:
    """The tree of the extension image for PostgreSQL `major`, compiled by Debian's compiler for Debian's server.

    Raises:
        MissingError: not root, no debootstrap, or a kernel in which nothing of another processor can be run.
        DebianError, ImageError: it could not be made.
    """
    return _module("module", major, architecture)


def operand(major: int, architecture: str = NATIVE) -> Path:
    """The layer with the module for over an image of PostgreSQL `major`; raises as `module`."""
    return _module("operand", major, architecture)


def service(architecture: str = NATIVE) -> Path:
    """The layer with the service for over `base`; raises as `module`."""
    key = f"{PYTHON_PIP!r} {_state(SERVICE_SOURCES)}"

    def make(folder: Path) -> None:
        _keep(folder, "service", DebianRoot.of(PYTHON_PIP), SERVICE_SOURCES, architecture=architecture)

    return cached(_named("image-service", architecture), key, make) / "tree"


def base(architecture: str = NATIVE) -> Path:
    """What the service's image stands on; raises as `module`, but for ImageError."""
    return DebianRoot.of(PYTHON).path if architecture == NATIVE else arm64.python()


def assemble(
    folder: Path,
    image: str,
    root: DebianRoot,
    sources: Sequence[str],
    *words: str,
    within: str = "source",
    architecture: str = NATIVE,
) -> str:
    """Make the tree `folder`/tree from nothing but `sources`, and return its digest as the script prints it.

    They stand in `folder`/`within` meanwhile, which what is made must not depend on.
    """
    _copy(sources, folder / within)
    pip = []
    if image == "service":
        shutil.copytree(_wheels(architecture), folder / "wheels", copy_function=os.link)
        pip = ["PIP_NO_INDEX=1", f"PIP_FIND_LINKS={INSIDE}/wheels"]
        if architecture != NATIVE:  # what sysconfig says, by which pip chooses
            pip.append(f"_PYTHON_HOST_PLATFORM=linux-{_KERNELS_WORD[architecture]}")
    script = [f"{INSIDE}/{within}/cnpg/image/assemble", image, "--out", f"{INSIDE}/tree", *words]
    command = root.with_bind(folder, INSIDE).command("env", *pip, *script, user="root")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise ImageError(f"{image}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def compiler(major: int, architecture: str = NATIVE) -> DebianRoot:
    """What the module for PostgreSQL `major` is compiled in; raises as `module`, but for ImageError."""
    return DebianRoot.of(COMPILERS[major]) if architecture == NATIVE else arm64.compiler(major)


def _module(image: str, major: int, architecture: str) -> Path:
    words = ("--pg-config", PG_CONFIG.format(major=major))
    recipe = COMPILERS[major] if architecture == NATIVE else arm64.SERVERS[major]

    def make(folder: Path) -> None:
        _keep(folder, image, compiler(major, architecture), MODULE_SOURCES, *words)

    return cached(_named(f"image-{image}-{major}", architecture), f"{recipe!r} {_state(MODULE_SOURCES)}", make) / "tree"


def _named(what: str, architecture: str) -> str:
    return what if architecture == NATIVE else f"{what}-{architecture}"


def _keep(
    folder: Path, image: str, root: DebianRoot, sources: Sequence[str], *words: str, architecture: str = NATIVE
) -> None:
    """Only the tree, of what was needed to make it."""
    assemble(folder, image, root, sources, *words, architecture=architecture)
    for beside in ("source", "wheels"):
        shutil.rmtree(folder / beside, ignore_errors=True)


def _wheels(architecture: str) -> Path:
    """What requirements/ pins for the Python of the image, fetched by hash with this machine's own pip."""
    locks = [_TOP / "requirements" / name for name in ("service.txt", "build.txt")]
    machine = _KERNELS_WORD[architecture]
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
