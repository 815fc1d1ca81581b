"""What the pages point at is there: files, headings, make targets, commands and their options."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from pgbearer.cli import app

ROOT = Path(__file__).parents[2]
NOT_OURS = {"build", "dist"}
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
MAKE = re.compile(r"\bmake ((?:[a-z][a-z0-9-]*\s?)+)")
OURS = re.compile(r"^(?:\$ )?(?:sudo )?(?:\S*/)?pgbearer ([a-z-].*)")


def pages() -> list[Path]:
    """Every page of the repository; not of what was built or installed below it."""
    inside = [page.relative_to(ROOT) for page in ROOT.rglob("*.md")]
    return sorted(ROOT / page for page in inside if not {*page.parts} & NOT_OURS and not page.parts[0].startswith("."))


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def headings(page: Path) -> frozenset[str]:
    """The anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found)


def links(page: Path) -> Iterator[str]:
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", target):
            yield target


def code(page: Path) -> Iterator[str]:
    """What stands as code on a page: fenced blocks, continued lines joined, and pieces within a line."""
    text = page.read_text(encoding="utf-8")
    for block in FENCE.findall(text):
        yield from re.sub(r"\\\n\s*", " ", block).splitlines()[1:-1]
    yield from re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def own_words(command: Any, words: list[str]) -> list[str]:
    """Those that are not another program's, which comes after ours: psql's, or what `run` is to run."""
    if command.context_settings.get("allow_interspersed_args", True):
        return words
    flags = {option for param in command.params if getattr(param, "is_flag", False) for option in param.opts}
    for index, word in enumerate(words):
        is_value = index > 0 and words[index - 1].startswith("--") and words[index - 1] not in flags
        if not word.startswith("--") and not is_value:
            return words[:index]
    return words


def fault(words: list[str]) -> str | None:
    """What is wrong with the words after ``pgbearer``; None if they name a command and options that it has."""
    command: Any = get_command(app)
    while words and hasattr(command, "commands"):
        default = getattr(command, "default_command", None)
        if words[0] in command.commands:
            command = command.commands[words.pop(0)]
        elif default is not None:
            command = command.commands[default]
        elif re.match("[a-z]", words[0]):
            return f"no command {words[0]}"
        else:
            break
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    given = {
        word.partition("=")[0] for word in own_words(command, words) if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word)
    }
    unknown = given - known - {"--help"}
    return f"no option {', '.join(sorted(unknown))}" if unknown else None


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_what_is_linked_is_there(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.is_relative_to(ROOT), target
        assert linked.exists(), target
        if anchor:
            assert anchor in headings(linked), target


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_what_is_named_as_a_file_is_there(page: Path) -> None:
    """Paths that begin with a folder of ours: from the root, or from the page."""
    folders = {each.name for each in ROOT.iterdir() if each.is_dir() and not each.name.startswith(".")} - NOT_OURS
    for piece in code(page):
        path = piece.partition("::")[0]
        if path.partition("/")[0] in folders and re.fullmatch(r"[\w./-]+", path) and "/" in path:
            assert (ROOT / path).exists(), piece


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_what_make_is_told_to_make_is_a_target(page: Path) -> None:
    for piece in code(page):
        for named in MAKE.findall(piece.partition("#")[0]):
            assert set(named.split()) <= targets(), piece


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_commands_and_their_options_exist(page: Path) -> None:
    for piece in code(page):
        for rest in OURS.findall(piece.partition(" #")[0].partition(" | ")[0]):
            assert fault(shlex.split(rest)) is None, piece


def test_there_are_pages_with_links_and_commands() -> None:
    """None of the above passes for want of anything to look at."""
    found = pages()
    assert {"README.md", "docs/install.md", "docs/adr/README.md"} <= set(map(name_of, found))
    assert sum(len(list(links(page))) for page in found) > 30
    assert sum(len(OURS.findall(piece)) for page in found for piece in code(page)) > 20
    assert {"demo", "test", "module"} <= targets()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lgin"], "no command lgin"),
        (["decisions", "shw"], "no command shw"),
        (["login", "--isuer", "x"], "no option --isuer"),
        (["login", "--issuer", "x"], None),
        (["proxy", "appdb", "--idle", "60"], None),
        (["proxy", "appdb", "--idel", "60"], "no option --idel"),
        (["psql", "--profile", "corp", "appdb", "-c", "select 1"], None),
        (["psql", "--profle", "corp", "appdb"], "no option --profle"),
        (["run", "--tcp", "appdb", "--", "program", "--its-own"], None),
    ],
)
def test_what_counts_as_wrong(words: list[str], said: str | None) -> None:
    assert fault(words) == said
