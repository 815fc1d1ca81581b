"""PGBEARER_SANITIZE=1: the module compiled with the address and undefined-behaviour sanitizers, in ordinary servers.

The server itself is not instrumented, so the runtime comes into it by LD_PRELOAD. What the module does with its stack,
its globals and memory from malloc is seen; inside palloc's blocks it is not, which is what `make fuzz` is for. Anything
found ends the backend by a signal, and so the test that caused it.
"""

import os
import subprocess
from typing import Final

__all__ = ["compiler_flags", "runtime", "sanitizing"]

_OPTIONS: Final = {
    # what a backend still holds when it ends is the server's, which frees nothing then
    "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1:abort_on_error=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:print_stacktrace=1",
}


def sanitizing() -> bool:
    """Whether this run is one under the sanitizers."""
    return os.environ.get("PGBEARER_SANITIZE") == "1"


def compiler_flags() -> str:
    """What the module is compiled and linked with, besides; empty if this run is an ordinary one."""
    if not sanitizing():
        return ""
    # instrumented, gcc takes what PG_TRY() assigns and an error skips for clobbered
    return "-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -Wno-clobbered"


def runtime() -> tuple[str, ...]:
    """The command below which a server starts; nothing if this run is an ordinary one."""
    if not sanitizing():
        return ()
    preload = ":".join(_library(name) for name in ("libasan.so", "libubsan.so"))
    return ("env", f"LD_PRELOAD={preload}", *(f"{name}={value}" for name, value in _OPTIONS.items()))


def _library(name: str) -> str:
    said = subprocess.run(["cc", f"-print-file-name={name}"], check=True, capture_output=True, text=True)
    return said.stdout.strip()
