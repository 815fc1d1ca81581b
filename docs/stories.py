"""Which steps of the runbooks tests try, and where: read from stories.toml and from the marks on tests, none is run.

A test tries a step if it has the mark ``@pytest.mark.story("STORY", "STEP", on="WHERE")``, in exactly that form.
"""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

__all__ = ["WHERE", "Step", "Story", "Trial", "names", "rows", "stories", "trials", "trials_of"]

WHERE: Final[Mapping[str, str]] = {
    "operator": "an instance of CloudNativePG's operator",
    "network": "PostgreSQL, with the service over the network",
    "socket": "PostgreSQL, with the service at a socket",
    "service": "the service alone",
}
"""What a step can be tried on, the most telling first."""
_TESTS: Final = Path(__file__).parent.parent / "tests"
_FOLDER: Final = Path(__file__).parent / "runbooks"


@dataclass(frozen=True, slots=True)
class Step:
    """What a runbook promises; `untried` is why no test tries it on an instance of the operator."""

    says: str
    untried: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """A runbook: its page beside the index, and its steps by name."""

    page: str
    title: str
    steps: Mapping[str, Step]


@dataclass(frozen=True, slots=True)
class Trial:
    """A test that tries a step."""

    story: str
    step: str
    on: str
    test: str


@cache
def stories() -> Mapping[str, Story]:
    """Every runbook, by name, in the order of the registry."""
    read: dict[str, Any] = tomllib.loads((_FOLDER / "stories.toml").read_text(encoding="utf-8"))
    return {
        name: Story(each["page"], each["title"], {step: Step(**said) for step, said in each["steps"].items()})
        for name, each in read.items()
    }


@cache
def names() -> str:
    """The first block of commands, the same in every runbook: it says what the reader's own objects are called.

    Raises:
        ValueError: it is not the same in all.
    """
    pages = {each.page: (_FOLDER / each.page).read_text(encoding="utf-8") for each in stories().values()}
    blocks: set[str] = {re.findall(r"```sh\n.*?```", text, re.DOTALL)[0] for text in pages.values()}
    if len(blocks) != 1:
        raise ValueError(f"the first block of {', '.join(pages)} is not the same in all")
    return blocks.pop()


def trials() -> list[Trial]:
    """Every trial in the tests, in the order of `WHERE`."""
    found = [trial for file in sorted(_TESTS.rglob("test_*.py")) for trial in trials_of(file)]
    return sorted(found, key=lambda trial: list(WHERE).index(trial.on))


@cache
def trials_of(file: Path) -> tuple[Trial, ...]:
    """Those of one file of tests; a test that is marked to be skipped, or to fail, tries nothing.

    Raises:
        ValueError: a mark of another form, or of a story, step or place that there is not.
    """
    text = file.read_text(encoding="utf-8")
    return tuple(_trials(ast.parse(text), file.relative_to(_TESTS.parent).as_posix())) if "mark.story" in text else ()


def rows(name: str) -> Iterator[tuple[str, str, str]]:
    """Of each step of a story: what it says, whether it was tried, and by which tests or why not."""
    every = [trial for trial in trials() if trial.story == name]
    for step, about in stories()[name].steps.items():
        tried = [trial for trial in every if trial.step == step]
        where = {trial.on for trial in tried}
        cells = [
            f"{WHERE[on]}: " + ", ".join(f"`{one.test}`" for one in tried if one.on == on)
            for on in WHERE
            if on in where
        ]
        if "operator" in where:
            yield about.says, "**tried**", "<br>".join(cells)
        elif tried:
            yield (
                about.says,
                "tried, but not with the operator",
                "<br>".join([*cells, f"not with the operator: {about.untried}"]),
            )
        else:
            yield about.says, "**not tried here**", about.untried


def _trials(module: ast.Module, file: str) -> Iterator[Trial]:
    for test in module.body:
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef):
            marks = [_mark(decorator) for decorator in test.decorator_list]
            if not {name for name, _ in marks} & {"skip", "xfail"}:
                yield from (_trial(call, f"{file}::{test.name}") for name, call in marks if name == "story")


def _mark(decorator: ast.expr) -> tuple[str, ast.expr]:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (called.attr if isinstance(called, ast.Attribute) else "", decorator)


def _trial(mark: ast.expr, test: str) -> Trial:
    match mark:
        case ast.Call(
            args=[ast.Constant(value=str(story)), ast.Constant(value=str(step))],
            keywords=[ast.keyword(arg="on", value=ast.Constant(value=str(on)))],
        ) if story in stories() and step in stories()[story].steps and on in WHERE:
            return Trial(story, step, on, test)
    raise ValueError(f'{test}: not @pytest.mark.story("STORY", "STEP", on="WHERE") of runbooks/stories.toml')
