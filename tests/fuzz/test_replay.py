"""The seeds of `make fuzz`, and whatever it once found, each once: quick, and the same every time."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.module import MODULE_TARGETS, build
from tests.fuzz.targets import CORPUS, TARGETS
from tests.parts.module import SOURCE
from tests.parts.needs import SANITIZER
from tests.parts.postgres import Installation

SEEDS = [(name, seed) for name in TARGETS for seed in sorted((CORPUS / name).iterdir())]


@pytest.mark.parametrize(("target", "seed"), SEEDS, ids=lambda value: value.name if isinstance(value, Path) else value)
def test_python_target(target: str, seed: Path) -> None:
    TARGETS[target](seed.read_bytes())


@pytest.mark.parametrize("target", MODULE_TARGETS)
def test_module_target(target: str, need: Callable[..., None], postgres: Installation, tmp_path: Path) -> None:
    need(SANITIZER)
    program = build(target, postgres, tmp_path, fuzzer=False)
    seeds = sorted((CORPUS / target).iterdir())
    done = subprocess.run([program, *seeds], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fault_would_be_noticed(need: Callable[..., None], postgres: Installation, tmp_path: Path) -> None:
    """The same, with no room for the terminator of a string."""
    need(SANITIZER)
    shutil.copytree(SOURCE, tmp_path / "source")
    spoilt = tmp_path / "source" / "json.c"
    right = spoilt.read_text()
    spoilt.write_text(right.replace("palloc(closing - reader->next + 1)", "palloc(closing - reader->next)"))
    assert spoilt.read_text() != right
    program = build("module_answer", postgres, tmp_path, fuzzer=False, source=tmp_path / "source")
    done = subprocess.run([program, CORPUS / "module_answer" / "allow"], capture_output=True, text=True, timeout=120)
    assert "heap-buffer-overflow" in done.stderr


def test_every_target_has_seeds_and_every_corpus_a_target() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == {*TARGETS, *MODULE_TARGETS}
    assert all(any(folder.iterdir()) for folder in CORPUS.iterdir())
