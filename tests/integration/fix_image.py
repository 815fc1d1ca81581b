"""The trees of our images, and a container's view of them: a root that is read-only, and a uid without rights."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.parts import image
from tests.parts.debian import INSIDE
from tests.parts.needs import DEBOOTSTRAP, ROOT
from tests.parts.processes import Running, launch

__all__ = [
    "UID",
    "answers",
    "command",
    "module_tree",
    "needed",
    "operand_tree",
    "running",
    "service_layers",
    "service_tree",
]

UID: Final = 26880
"""As in cnpg/base/service/deployment.yaml; no image knows a name for it."""
NOBODY: Final = 65534
_QUESTIONS: Final = """SHOW pgbearer.connect_timeout;
SELECT count(*) AS ours FROM pg_available_extensions WHERE name = 'pgbearer';
SELECT count(*) > 0 AS others FROM pg_available_extensions;
"""
_ENTER: Final = """
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/root
mount -t overlay overlay -o "lowerdir=$1" /mnt/root
cd /mnt/root
mount -t proc proc proc
mount --rbind /dev dev
mount --bind "$2" ".$3"
shift 3
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin setpriv --no-new-privs "$@"
"""


@pytest.fixture(scope="session", params=[18, 19])
def module_tree(request: pytest.FixtureRequest, need: Callable[..., None]) -> tuple[int, Path]:
    """PostgreSQL's major version, and the tree of the extension image for it."""
    need(ROOT, DEBOOTSTRAP)
    return request.param, image.module(request.param)


@pytest.fixture(scope="session", params=[18, 19])
def operand_tree(request: pytest.FixtureRequest, need: Callable[..., None]) -> tuple[int, Path]:
    """PostgreSQL's major version, and the layer over its image."""
    need(ROOT, DEBOOTSTRAP)
    return request.param, image.operand(request.param)


@pytest.fixture(scope="session")
def service_tree(need: Callable[..., None]) -> Path:
    """The layer with the service."""
    need(ROOT, DEBOOTSTRAP)
    return image.service()


@pytest.fixture(scope="session")
def service_layers(service_tree: Path) -> list[Path]:
    """The service's image: the layer, and what it lies on."""
    return [service_tree, image.base()]


def command(layers: Sequence[Path], work: Path, *words: str, uid: int = UID, run_by: Sequence[str] = ()) -> list[str]:
    """The command line, for root, that runs `words` with `layers` as a read-only root; `work` is at `INSIDE`.

    `run_by` are the words by which the way into the root is run.
    """
    inside = [*run_by, "chroot", f"--userspec={uid}:{uid}", "--groups=", "/mnt/root", *words]
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    return [*own, "sh", "-ec", _ENTER, "enter", ":".join(map(str, layers)), str(work), INSIDE, *inside]


@contextmanager
def running(
    layers: Sequence[Path], work: Path, *words: str, uid: int = UID, run_by: Sequence[str] = ()
) -> Iterator[tuple[Running, Path]]:
    """The same as a process, with the file that it prints to; it is stopped at the end."""
    log = work / "log"
    process = launch(command(layers, work, *words, uid=uid, run_by=run_by), log=log)
    try:
        yield process, log
    finally:
        process.stop()


def answers(
    layers: Sequence[Path], major: int, folder: Path, *settings: str, run_by: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """What a server without a network, whose root is read-only, says with the module preloaded."""
    os.chown(folder, NOBODY, NOBODY)
    programs = f"/usr/lib/postgresql/{major}/bin"
    data = ["-D", f"{INSIDE}/data"]
    made = [f"{programs}/initdb", *data, "-U", "postgres", "--no-sync", "--locale=C.UTF-8"]
    subprocess.run(command(layers, folder, *made, uid=NOBODY, run_by=run_by), check=True, capture_output=True)
    options = [f"-c{each}" for each in ("shared_preload_libraries=pgbearer", *settings)]
    words = [f"{programs}/postgres", "--single", *data, *options, "postgres"]
    single = command(layers, folder, *words, uid=NOBODY, run_by=run_by)
    return subprocess.run(single, input=_QUESTIONS, capture_output=True, text=True, timeout=60)


def needed(library: Path) -> set[str]:
    """The libraries that it names, and the folders in which it would look for them."""
    said = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"\((?:NEEDED|RPATH|RUNPATH)\).*\[(.*)\]", said))
