"""The module's own reasons: one table in C, complete, used, and each seen by an integration test."""

import re
from pathlib import Path

import pytest

from pgbearer.wire import Reason

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "validator" / "pgmodule"
_STRING = r'\s*"((?:[^"\\]|\\.)+)"'
ENTRIES = re.findall(rf"REASON\((\w+), \\\n{_STRING}, \\\n{_STRING}\)", (MODULE / "reasons.h").read_text())
NAMES = [name for name, _, _ in ENTRIES]


def test_table_can_be_read_by_the_generator_of_the_reference() -> None:
    assert len(ENTRIES) == (MODULE / "reasons.h").read_text().count("\tREASON(")
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize(("name", "meaning", "remedy"), ENTRIES)
def test_entry_is_two_sentences(name: str, meaning: str, remedy: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]+", name)
    assert meaning.endswith(".")
    assert remedy.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_reason_is_used(name: str) -> None:
    assert any(f"FAULT_{name}" in path.read_text() for path in MODULE.glob("*.c"))


@pytest.mark.parametrize("name", NAMES)
def test_reason_is_seen_by_an_integration_test(name: str) -> None:
    assert any(name in path.read_text() for path in (ROOT / "tests" / "integration").glob("test_module_*.py"))


def test_same_name_means_the_same_on_both_sides() -> None:
    assert set(NAMES) & set(Reason) <= {"token_too_large"}
