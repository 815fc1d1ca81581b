"""What a machine must have for the real parts, each with the reason and with how to get it.

Nothing here skips a test or ends a run: it only says what is not there. `tests/fix_needs.py` makes of it a named skip,
or a failure where CI=true; the demo makes of it a message.
"""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = [
    "COMPILER",
    "CURL",
    "DEBOOTSTRAP",
    "FUZZER",
    "IPROUTE",
    "JAVA",
    "JDK",
    "MAVEN",
    "NAMESPACED_BINFMT",
    "NPM",
    "PSQL",
    "ROOT",
    "SANITIZER",
    "SECRET_SERVICE",
    "X86_64",
    "MissingError",
    "Need",
    "demand",
    "missing",
]

_JAVA_AT_LEAST = 17


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a machine has or has not."""

    name: str
    why: str
    how: str
    """How to get it, as a full sentence."""
    here: Callable[[], bool] = field(repr=False, compare=False)

    def __str__(self) -> str:
        """What a person reads who lacks it."""
        return f"{self.name} ({self.why}). {self.how}"


class MissingError(Exception):
    """This machine lacks `needs`; the message names each, with the reason and how to get it."""

    def __init__(self, needs: Sequence[Need]) -> None:
        self.needs = tuple(needs)
        super().__init__("; ".join(str(need) for need in self.needs))


def missing(*needs: Need) -> tuple[Need, ...]:
    """Those of `needs` that this machine lacks."""
    return tuple(need for need in needs if not need.here())


def demand(*needs: Need) -> None:
    """Nothing if all `needs` are met, else MissingError."""
    if lacking := missing(*needs):
        raise MissingError(lacking)


def _java_version() -> int:
    """The major version of `java` in the path; 0 without one, or if it does not run."""
    java = shutil.which("java")
    if java is None:
        return 0
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60).stderr
    quoted = said.partition('"')[2].partition('"')[0]  # openjdk version "17.0.15" 2025-04-15
    major = quoted.partition(".")[0].partition("-")[0]
    return int(major) if major.isdigit() else 0


def _kernel() -> tuple[int, ...]:
    """Its version, the first two numbers."""
    return tuple(int(each) for each in re.findall(r"\d+", platform.release())[:2])


def _links(*command: str) -> Callable[[], bool]:
    """Whether this compiler makes a program with these options: the libraries may be missing where it is not."""

    def try_it() -> bool:
        source = "int LLVMFuzzerTestOneInput(void) { return 0; }"
        if not any("fuzzer" in word for word in command):
            source += " int main(void) { return 0; }"
        if shutil.which(command[0]) is None:
            return False
        words = [*command, "-x", "c", "-", "-o", os.devnull]
        return subprocess.run(words, input=source, text=True, capture_output=True, check=False).returncode == 0

    return try_it


def _tool(*names: str) -> Callable[[], bool]:
    return lambda: any(shutil.which(name) for name in names)


ROOT = Need(
    "root",
    "it starts processes of other uids, and makes and enters a Debian root",
    "Run the tests as root, e.g. in a virtual machine.",
    lambda: os.geteuid() == 0,
)
DEBOOTSTRAP = Need(
    "debootstrap",
    "it fetches PostgreSQL's own psql with the device flow from Debian",
    "Install it with: apt-get install debootstrap.",
    _tool("debootstrap"),
)
IPROUTE = Need(
    "iproute2",
    "pods get network addresses of their own",
    "Install it with: apt-get install iproute2.",
    _tool("ip"),
)
CURL = Need(
    "curl",
    "pages ask the service with it how it is",
    "Install it with: apt-get install curl (or dnf install curl).",
    _tool("curl"),
)
JAVA = Need(
    f"Java {_JAVA_AT_LEAST} or newer",
    "Keycloak runs on it",
    "Install it with: apt-get install default-jre-headless (or dnf install java-21-openjdk-headless).",
    lambda: _java_version() >= _JAVA_AT_LEAST,
)
JDK = Need(
    f"a Java compiler, {_JAVA_AT_LEAST} or newer",
    "Java runs the source of a program with the JDBC driver",
    "Install it with: apt-get install default-jdk-headless (or dnf install java-21-openjdk-devel).",
    lambda: shutil.which("javac") is not None and _java_version() >= _JAVA_AT_LEAST,
)
MAVEN = Need(
    "Maven",
    "it fetches Keycloak and the JDBC driver",
    "Install it with: apt-get install maven (or dnf install maven).",
    _tool("mvn"),
)
NAMESPACED_BINFMT = Need(
    "Linux 6.7 or newer",
    "it runs programs for arm64 in QEMU without being told so for the whole machine",
    "Run these tests on such a machine, with binfmt_misc in its kernel.",
    lambda: _kernel() >= (6, 7) and Path("/proc/sys/fs/binfmt_misc").is_dir(),
)
NPM = Need(
    "npm",
    "it fetches Cerbos and node-postgres",
    "Install it with: apt-get install npm (or dnf install npm).",
    _tool("npm"),
)
PSQL = Need(
    "psql in the path",
    "it connects by way of the proxy, whatever its version",
    "Install it with: apt-get install postgresql-client (or dnf install postgresql).",
    _tool("psql"),
)
X86_64 = Need(
    "an x86-64 processor",
    "Cerbos is packaged for it alone",
    "Run these tests on such a machine.",
    lambda: platform.machine() == "x86_64",
)
COMPILER = Need(
    "a C compiler",
    "the module is compiled on the spot",
    "Install it with: apt-get install build-essential (or dnf install gcc make).",
    _tool("cc", "gcc", "clang"),
)
SANITIZER = Need(
    "a C compiler with the address and undefined-behaviour sanitizers",
    "the module's parsers run under them",
    "Install it with: apt-get install build-essential (or dnf install gcc libasan libubsan).",
    _links("cc", "-fsanitize=address,undefined"),
)
FUZZER = Need(
    "clang with libFuzzer",
    "the module's parsers are fuzzed with it",
    "Install it with: apt-get install clang libclang-rt-dev (or dnf install clang compiler-rt).",
    _links("clang", "-fsanitize=address,undefined,fuzzer"),
)
SECRET_SERVICE = Need(
    "gnome-keyring and dbus-run-session",
    "logins are kept in a real Secret Service",
    "Install them with: apt-get install gnome-keyring dbus (or dnf install gnome-keyring dbus-daemon).",
    lambda: all(shutil.which(name) for name in ("gnome-keyring-daemon", "dbus-run-session")),
)
