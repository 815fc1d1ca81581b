"""The Dockerfiles of cnpg/image, as files: they copy what `assemble` makes, and what the tests make it from."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.parts.debian import PYTHON, PYTHON_PIP, Recipe
from tests.parts.image import MODULE_SOURCES, SERVICE_SOURCES

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "cnpg" / "image"
NAMES = ("module", "service")
ARCHITECTURES = re.compile(r"amd64|x86|arm|aarch64|TARGETARCH|TARGETPLATFORM|--platform", re.IGNORECASE)


@dataclass(frozen=True)
class Stage:
    """One FROM, and the lines after it."""

    base: str
    name: str
    lines: tuple[str, ...]

    def all(self, word: str) -> list[str]:
        """What comes after each line's first word, if it is this one."""
        return [line.removeprefix(word).strip() for line in self.lines if line.startswith(f"{word} ")]

    def packages(self) -> set[str]:
        """What apt-get installs."""
        found = re.findall(r"apt-get install (.*?)(?:&&|$)", "\n".join(self.all("RUN")), re.MULTILINE)
        return {word for line in found for word in line.split() if not word.startswith("-")}


@cache
def lines(name: str) -> tuple[str, ...]:
    """Of a Dockerfile, without comments, continued ones joined."""
    kept = [line for line in (IMAGE / f"{name}.Dockerfile").read_text().splitlines() if not line.startswith("#")]
    return tuple(line for line in re.sub(r"\\\n\s*", " ", "\n".join(kept)).splitlines() if line)


@cache
def stages(name: str) -> dict[str, Stage]:
    """The stages of a Dockerfile, by name, the last one last."""
    found: dict[str, Stage] = {}
    starts = [at for at, line in enumerate(lines(name)) if line.startswith("FROM ")]
    for begin, end in zip(starts, [*starts[1:], None], strict=True):
        base, _, stage = lines(name)[begin].removeprefix("FROM ").partition(" AS ")
        assert stage, "a stage without a name"
        found[stage] = Stage(base, stage, lines(name)[begin + 1 : end])
    return found


def copied(stage: Stage) -> dict[str, str]:
    """What is copied into a stage from the context, and where to."""
    found = {}
    for line in stage.all("COPY"):
        *sources, to = line.split()
        if not sources[0].startswith("--from="):
            for source in sources:
                found[source] = to
    return found


@pytest.mark.parametrize(("name", "sources"), [("module", MODULE_SOURCES), ("service", SERVICE_SOURCES)])
def test_it_is_made_from_what_the_tests_make_it_from_at_the_same_place(name: str, sources: tuple[str, ...]) -> None:
    found = copied(stages(name)["build"])
    assert set(found) == set(sources)
    for source, to in found.items():
        path = ROOT / source
        place = path.relative_to(ROOT) if path.is_dir() else path.relative_to(ROOT).parent
        assert Path(to) == place, source
    assert stages(name)["build"].all("WORKDIR") == ["/source"]


@pytest.mark.parametrize(
    ("name", "stage", "base", "user"),
    [
        ("module", "module", "scratch", "65532:65532"),
        ("module", "operand", "$BASE", "26"),
        ("service", "service", "base", "65532:65532"),
    ],
)
def test_an_image_has_the_tree_over_its_base_and_nothing_else(name: str, stage: str, base: str, user: str) -> None:
    image = stages(name)[stage]
    assert image.base == base
    assert image.all("COPY") == [f"--from=build /{stage}/ /"]
    assert image.all("USER") == [user]
    assert not image.all("RUN")
    assert not image.all("ADD")
    (made,) = [line for line in stages(name)["build"].all("RUN") if f"assemble {stage} " in line]
    assert made.endswith(f"--out /{stage}")


def test_no_tree_is_made_that_no_image_has() -> None:
    for name in NAMES:
        made = [line for line in stages(name)["build"].all("RUN") if "/assemble " in line]
        assert len(made) == len([stage for stage in stages(name).values() if any("--from=" in x for x in stage.lines)])


def test_the_service_starts_as_the_manifests_start_it() -> None:
    image = stages("service")["service"]
    assert image.all("ENTRYPOINT") == ['["pgbearer"]']
    assert image.all("CMD") == ['["serve", "-c", "/etc/pgbearer/config/pgbearer.yaml"]']


def test_nothing_of_the_module_runs_when_its_image_is_mounted() -> None:
    for stage in ("module", "operand"):
        assert not stages("module")[stage].all("ENTRYPOINT")
        assert not stages("module")[stage].all("CMD")


@pytest.mark.parametrize(("stage", "recipe"), [("base", PYTHON), ("build", PYTHON_PIP)])
def test_the_tests_roots_have_the_packages_of_the_stages(stage: str, recipe: Recipe) -> None:
    here = stages("service")[stage].packages() | (stages("service")["base"].packages() if stage == "build" else set())
    assert here - {"python3"} == set(recipe.packages) - {"python3"}  # which python3-pip brings
    assert recipe.suite == "trixie"


def test_the_base_has_the_python_that_the_lock_is_for() -> None:
    assert "ARG BASE=debian:trixie-slim" in lines("service")
    lock = next(line for line in (ROOT / "Makefile").read_text().splitlines() if "requirements/service.txt" in line)
    assert "--python-version 3.13 " in lock
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_for_one_architecture(name: str) -> None:
    for file in (IMAGE / f"{name}.Dockerfile", IMAGE / "assemble"):
        assert not ARCHITECTURES.search(file.read_text()), file.name


@pytest.mark.parametrize("name", NAMES)
def test_one_time_for_all_is_given_before_anything_is_assembled(name: str) -> None:
    build = stages(name)["build"].lines
    first = next(at for at, line in enumerate(build) if "/assemble " in line and line.startswith("RUN"))
    assert "ARG SOURCE_DATE_EPOCH" in build[:first]


def test_a_build_sees_what_is_copied_and_nothing_else() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    seen = [Path(rule.removeprefix("!")) for rule in rules if rule.startswith("!")]
    for source in {*MODULE_SOURCES, *SERVICE_SOURCES}:
        assert any(Path(source).is_relative_to(each) for each in seen), source
    for each in seen:
        assert any(Path(source).is_relative_to(each) for source in {*MODULE_SOURCES, *SERVICE_SOURCES}), each
    assert {"**/__pycache__", "**/*.key", "**/*.o", "**/*.so"} <= set(rules)


def test_what_compose_builds_is_seen_too() -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    seen = [Path(rule.removeprefix("!")) for rule in rules if rule.startswith("!")]
    for file in (ROOT / "containers").glob("*.Dockerfile"):
        for line in file.read_text().splitlines():
            if line.startswith("COPY ") and "--from=" not in line:
                for source in line.split()[1:-1]:
                    assert any(Path(source).is_relative_to(each) for each in seen), line


def test_what_compose_builds_has_all_that_the_wheel_is_made_of() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    text = (ROOT / "containers" / "pgbearer.Dockerfile").read_text()
    for source in [*tool["packages"], *tool["force-include"]]:
        assert f"COPY {source} /src/{source}\n" in text
