"""arm64 on a machine that has another processor: Debian's files for it, and QEMU for its programs.

Compilers run as programs of this machine, for they would take minutes in QEMU; what they compile for, and what runs it
then, is Debian's for arm64. Needs root.
"""

import sys
from pathlib import Path
from typing import Final

from tests.parts.debian import PYTHON, DebianRoot, Recipe, unpacked
from tests.parts.needs import DEBOOTSTRAP, NAMESPACED_BINFMT, ROOT, demand

__all__ = ["ARCHITECTURE", "SERVERS", "compiler", "emulation", "python", "server"]

ARCHITECTURE: Final = "arm64"
"""As Debian calls it."""
_HEADERS: Final = ("libkrb5-dev", "libssl-dev")
SERVERS: Final = {
    18: Recipe("forky", ("postgresql-server-dev-18", "postgresql-18", *_HEADERS)),
    19: Recipe("sid", _HEADERS, "experimental", ("postgresql-19", "postgresql-server-dev-19")),
}
"""PostgreSQL for arm64, and what the module is compiled against."""
_TOOLS: Final = Recipe("forky", ("gcc-aarch64-linux-gnu", "make", "python3", "qemu-user"))
"""Programs of this machine: a compiler for arm64, and QEMU."""


def emulation() -> list[str]:
    """The words that run what follows them where programs for arm64 are run by QEMU.

    Raises:
        MissingError: not root, no debootstrap, or a kernel that would have to be told for the whole machine.
        DebianError: QEMU could not be fetched.
    """
    demand(ROOT, DEBOOTSTRAP, NAMESPACED_BINFMT)
    qemu = DebianRoot.of(_TOOLS).path / "usr/bin/qemu-aarch64"
    return [sys.executable, str(Path(__file__).with_name("emulate.py")), str(qemu)]


def compiler(major: int) -> DebianRoot:
    """Where the module is compiled for PostgreSQL `major` of arm64; raises as `emulation`.

    Debian's folders for libraries have the processor in their names, so both fit into one root.
    """
    return DebianRoot(
        DebianRoot.of(_TOOLS).path, below=unpacked(SERVERS[major], ARCHITECTURE), run_by=tuple(emulation())
    )


def server(major: int) -> list[Path]:
    """The same root as layers, the uppermost first; raises as `emulation`."""
    root = compiler(major)
    return [root.path, *([root.below] if root.below else [])]


def python() -> Path:
    """What the service's image stands on, for arm64; raises as `emulation`."""
    return unpacked(PYTHON, ARCHITECTURE)
