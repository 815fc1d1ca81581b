"""pgbearer.so, compiled once for each PostgreSQL and each state of its source."""

import hashlib
import os
import subprocess
from pathlib import Path

from tests.parts.cache import cached
from tests.parts.sanitize import compiler_flags

__all__ = ["SOURCE", "build_module", "module_for"]

SOURCE = Path(__file__).parents[2] / "validator" / "pgmodule"
"""The C source and its Makefile."""

_STAND_INS = Path(__file__).with_name("headers")


class BuildError(Exception):
    """The compiler refused; the message has its output."""


def build_module(pg_config: Path, out: Path) -> Path:
    """Compile the module against `pg_config` into the folder `out`; returns the library.

    Raises:
        BuildError: it does not compile, or not without warnings.
    """
    done = subprocess.run(
        ["make", "-s", "-f", SOURCE / "Makefile", f"PG_CONFIG={pg_config}", *_options()],
        cwd=out,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}},
    )
    if done.returncode != 0:
        raise BuildError(done.stderr)
    return out / "pgbearer.so"


def _options() -> list[str]:
    """Warnings are errors, and a server's OpenSSL and GSSAPI headers need not be here (headers/README.md)."""
    options = [f"COPT=-Werror -idirafter {_STAND_INS} {compiler_flags()}"]
    look = subprocess.run(
        ["cc", "-E", "-x", "c", "-"], input="#include <openssl/ssl.h>", text=True, capture_output=True
    )
    if look.returncode != 0:
        options.append("SHLIB_LINK=-lrt")  # libcrypto comes with the server that loads the module
    return options


def module_for(pg_config: Path) -> Path:
    """The folder with ``pgbearer.so`` for `pg_config`, for ``dynamic_library_path``; compiled if the source is new."""
    sources = sorted(path for path in SOURCE.iterdir() if path.suffix in {".c", ".h"} or path.name == "Makefile")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    version = subprocess.run([pg_config, "--version"], check=True, capture_output=True, text=True).stdout

    def build(folder: Path) -> None:
        build_module(pg_config, folder)

    return cached("module", f"{pg_config} {version} {digest} {compiler_flags()}".rstrip(), build)
