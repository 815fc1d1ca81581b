"""The first thing that runs on a fresh machine: it says all that is missing, and how to get it."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "parts" / "prerequisites.sh"


def check(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["/bin/sh", SCRIPT, *words], env={"PATH": str(path)}, capture_output=True, text=True)


def program(folder: Path, name: str, script: str = "exit 0") -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_bare_machine_is_told_everything_it_lacks_at_once(tmp_path: Path) -> None:
    said = check(tmp_path)

    assert said.returncode == 1
    for lacking in ("Python 3.11", "make", "C compiler", "Java 17", "Maven"):
        assert lacking in said.stderr
    assert said.stderr.count("apt-get install") >= 5


def test_machine_with_everything_is_told_nothing(tmp_path: Path) -> None:
    for name in ("python3", "make", "cc", "mvn"):
        program(tmp_path, name)
    program(tmp_path, "java", """echo 'openjdk version "17.0.15" 2025-04-15' >&2""")
    for tool in ("sed", "head"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")

    said = check(tmp_path)

    assert (said.returncode, said.stderr) == (0, "")


@pytest.mark.parametrize(("status", "enough"), [(0, True), (1, False)])
def test_container_engine_counts_only_if_it_answers(tmp_path: Path, status: int, enough: bool) -> None:
    for name in ("python3", "make", "cc"):
        program(tmp_path, name)
    program(tmp_path, "docker", f"exit {status}")
    (tmp_path / "timeout").symlink_to("/usr/bin/timeout")

    said = check(tmp_path)

    assert (said.returncode == 0) == enough
    assert ("Java" in said.stderr) != enough


def test_python_alone_is_enough_for_the_environment(tmp_path: Path) -> None:
    program(tmp_path, "python3")

    assert check(tmp_path, "python").returncode == 0
