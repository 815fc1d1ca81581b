"""What the service's image installs is what pyproject.toml asks for, in the versions that the tests run with."""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = ("serve", "jwt", "spiffe")
IMAGE = {"python_full_version": "3.13.5", "python_version": "3.13"}


def pins(name: str) -> dict[str, Requirement]:
    """What a lock pins for Linux and the image's Python, by name; each with a hash at least."""
    text = (ROOT / "requirements" / name).read_text()
    entries = re.findall(r"^(\S[^\n]*?) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^\S", text, re.MULTILINE)), "a pin without a hash"
    found = [Requirement(line) for line, _ in entries]
    return {canonicalize_name(each.name): each for each in found if applies(each)}


def applies(requirement: Requirement, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({**IMAGE, "extra": extra})


def wanted(lines: list[str]) -> list[Requirement]:
    return [requirement for requirement in map(Requirement, lines) if applies(requirement)]


def test_everything_that_is_asked_for_is_pinned_and_fits() -> None:
    lock = pins("service.txt")
    extras = PROJECT["project"]["optional-dependencies"]
    asked = [*PROJECT["project"]["dependencies"], *(line for extra in EXTRAS for line in extras[extra])]
    for requirement in wanted(asked):
        (version,) = lock[canonicalize_name(requirement.name)].specifier
        assert requirement.specifier.contains(version.version), requirement


def test_what_each_needs_is_pinned_too_and_nothing_else_is() -> None:
    lock = pins("service.txt")
    extras = PROJECT["project"]["optional-dependencies"]
    waiting = wanted([*PROJECT["project"]["dependencies"], *(line for extra in EXTRAS for line in extras[extra])])
    reached: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        new = {name} | {f"{name}[{extra}]" for extra in requirement.extras}
        if new <= reached:
            continue
        reached |= new
        for line in requires(requirement.name) or ():
            needed = Requirement(line)
            if any(applies(needed, extra) for extra in requirement.extras | {""}):
                waiting.append(needed)
    assert {name for name in reached if "[" not in name} == set(lock)


@pytest.mark.parametrize("name", ["service.txt", "build.txt"])
def test_the_versions_are_those_that_are_tested(name: str) -> None:
    tested, lock = pins("dev.txt"), pins(name)
    assert lock
    for package, pin in lock.items():
        assert tested[package].specifier == pin.specifier, package


def test_make_lock_renews_them() -> None:
    makefile = (ROOT / "Makefile").read_text()
    extras = " ".join(f"--extra {extra}" for extra in EXTRAS)
    assert re.search(
        rf"--constraint requirements/dev.txt .*{extras} pyproject.toml -o requirements/service.txt", makefile
    )
    assert re.search(
        r"--constraint requirements/dev.txt .*--group pyproject.toml:build -o requirements/build.txt", makefile
    )
