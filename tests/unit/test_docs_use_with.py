"""The pages "Use it with" show what the tests run: the programs of tests/clients, and settings that are settings."""

import re
from pathlib import Path

import pytest
import yaml

from pgbearer.client import load_client_file
from tests.parts.drivers import PROGRAMS

FOLDER = Path(__file__).parents[2] / "docs" / "use-with"
PAGES = sorted(FOLDER.glob("*.md"))
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
LANGUAGES = {"java": (".java",), "js": (".mjs",), "go": (".go",), "python": (".py",)}


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in BLOCK.findall(page.read_text(encoding="utf-8")) if language in languages]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_is_of_a_program_that_the_tests_run(page: Path) -> None:
    for language, endings in LANGUAGES.items():
        programs = [file.read_text(encoding="utf-8") for file in PROGRAMS.rglob("*") if file.suffix in endings]
        for block in blocks(page, language):
            assert any(block in program for program in programs), block


def test_there_is_code_of_each_language() -> None:
    found = {language for page in PAGES for language, _ in BLOCK.findall(page.read_text(encoding="utf-8"))}
    assert {*LANGUAGES, "sh", "toml", "yaml", "ini"} <= found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_yaml_is_yaml(page: Path) -> None:
    for block in blocks(page, "yaml"):
        assert isinstance(yaml.safe_load(block), dict)


def test_every_page_is_in_the_index() -> None:
    index = (FOLDER / "index.md").read_text(encoding="utf-8")
    for page in PAGES:
        assert page.stem == "index" or f"]({page.name}) |" in index


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")], ids=lambda page: page.stem)
def test_toml_is_a_clients_file(page: Path, tmp_path: Path) -> None:
    (block,) = blocks(page, "toml")
    file = tmp_path / "client.toml"
    file.touch(mode=0o600)
    file.write_text(block, encoding="utf-8")

    read = load_client_file({"PGBEARER_CONFIG_FILE": str(file)})

    assert read.default in read.profiles
    assert read.upstreams["appdb"].profile == read.default
