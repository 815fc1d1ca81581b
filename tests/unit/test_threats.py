"""The page of threats names tests: each must exist and be able to run, or the page promises what nothing holds."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threats.md").read_text()
ROWS = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
THREATS = [row for row in ROWS if "must never happen" not in row[0] and set(row[0]) - set("|- ")]
NAMED = sorted(set(re.findall(r"`(tests/[^`]+)`", PAGE)))

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Function]]:
    """The tests among statements, by the name that pytest has for them."""
    for node in body:
        if isinstance(node, Function) and node.name.startswith("test_"):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from functions(node.body, f"{prefix}{node.name}::")


@cache
def written_in(file: Path) -> dict[str, Function]:
    """The tests of a file, by name."""
    return dict(functions(ast.parse(file.read_text()).body))


def marks(test: Function) -> set[str]:
    """The names of pytest's marks on it."""
    calls = (mark.func if isinstance(mark, ast.Call) else mark for mark in test.decorator_list)
    return {call.attr for call in calls if isinstance(call, ast.Attribute)}


def fault(node: str) -> str | None:
    """What is wrong with a node id of the page; None if nothing is."""
    name, _, test = node.partition("::")
    file = ROOT / name
    if not file.is_file():
        return "no such file"
    if test not in written_in(file):
        return "no such test"
    return "does not run" if marks(written_in(file)[test]) & {"skip", "xfail"} else None


@pytest.mark.parametrize("node", NAMED)
def test_named_test_is_there(node: str) -> None:
    assert fault(node) is None


@pytest.mark.parametrize("row", THREATS, ids=lambda row: row[0][2:42])
def test_threat_has_what_stops_it_and_tests(row: list[str]) -> None:
    threat, stops, tests = row
    assert threat.endswith(".")
    assert stops.endswith(".")
    assert re.fullmatch(r"`tests/\w+/test_\w+\.py::[\w:]+`(<br>`tests/\w+/test_\w+\.py::[\w:]+`)* \|", tests)


def test_page_is_read() -> None:
    assert len(THREATS) > 20
    assert len(NAMED) > 100


@pytest.mark.parametrize("node", ["tests/unit/test_gone.py::test_x", "tests/unit/test_threats.py::test_gone"])
def test_what_is_not_there_would_be_noticed(node: str) -> None:
    assert fault(node)
