"""The module's parsers as programs of their own, without a server: for the fuzzer, and to replay its corpora."""

import subprocess
from pathlib import Path
from typing import Final

from tests.parts.module import SOURCE
from tests.parts.postgres import Installation

__all__ = ["MODULE_TARGETS", "build"]

MODULE_TARGETS: Final = ("module_answer", "module_http")
"""Each is tests/fuzz/NAME.c."""

_HERE: Final = Path(__file__).parent
_PARSERS: Final = ("answer.c", "json.c", "http.c")
_WARNINGS: Final = ("-Wall", "-Wextra", "-Werror", "-Wno-ignored-attributes")  # clang does not know gnu_printf
_STAND_INS: Final = _HERE.parent / "parts" / "headers"


class BuildError(Exception):
    """The compiler refused; the message has its output."""


def build(target: str, installation: Installation, out: Path, *, fuzzer: bool, source: Path = SOURCE) -> Path:
    """Compile `target` with the address and undefined-behaviour sanitizers.

    Args:
        target: one of `MODULE_TARGETS`.
        installation: whose headers, and whose libpgcommon for character sets.
        out: the folder of the program.
        fuzzer: with libFuzzer, which takes clang; else a program that reads the files it is given.
        source: of the module.

    Raises:
        BuildError: it does not compile, or not without warnings.
    """
    program = out / target
    sanitizers = "address,undefined" + (",fuzzer" if fuzzer else "")
    sources: list[Path] = [_HERE / f"{target}.c", _HERE / "module_stubs.c", *(source / name for name in _PARSERS)]
    if not fuzzer:
        sources.append(_HERE / "module_replay.c")
    headers, libraries = (Path(_asked(installation, option)) for option in ("--includedir-server", "--libdir"))
    done = subprocess.run(
        [
            *("clang" if fuzzer else "cc", "-g", "-O1", "-no-pie", f"-fsanitize={sanitizers}"),
            *("-fno-sanitize-recover=all", "-fno-omit-frame-pointer", *_WARNINGS),
            *("-isystem", str(headers), f"-I{source}", f"-I{_HERE}", "-idirafter", str(_STAND_INS)),
            *(str(path) for path in (*sources, libraries / "libpgcommon.a", libraries / "libpgport.a")),
            *("-lm", "-o", str(program)),
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise BuildError(done.stderr)
    return program


def _asked(installation: Installation, option: str) -> str:
    said = subprocess.run([installation.pg_config, option], check=True, capture_output=True, text=True)
    return said.stdout.strip()
