"""`make demo`, `make demo-logs`, `make demo-down`, as people run them, in a folder of their own."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.parts.keycloak import RUNTIME
from tests.parts.needs import COMPILER
from tests.parts.processes import Running

ROOT = Path(__file__).parents[2]
A_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")

pytestmark = pytest.mark.timeout(400)

Demo = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="pgbearer-demo-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def demo(folder: Path, need: Callable[..., None]) -> Iterator[Demo]:
    need(RUNTIME, COMPILER)

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "demo", command],
            cwd=ROOT,
            env={**os.environ, "PGBEARER_DEMO": str(folder / "demo")},
            capture_output=True,
            text=True,
            timeout=300,
        )

    yield run
    run("down")


@pytest.fixture(scope="module")
def told(demo: Demo) -> subprocess.CompletedProcess[str]:
    return demo("up")


def processes(folder: Path) -> list[Running]:
    kept = json.loads((folder / "demo" / "demo.json").read_text())["processes"]
    return [Running(**process) for process in kept.values()]


@pytest.mark.parametrize(
    "outcome",
    [
        "alice as app_readonly: in",
        "alice as app_readwrite: refused role_not_allowed",
        "bob as app_readwrite: in",
        "carol as app_readonly: refused no_rule",
    ],
)
def test_story_is_told(told: subprocess.CompletedProcess[str], outcome: str) -> None:
    assert told.returncode == 0, told.stdout + told.stderr
    assert outcome in told.stdout.splitlines()


def test_one_login_is_decided_here_and_one_by_keycloak(told: subprocess.CompletedProcess[str]) -> None:
    lines = told.stdout.splitlines()

    assert "nobody else was asked" in lines[lines.index("alice as app_readonly: in") + 2]
    assert re.search(r"keycloak said yes in \d+ ms", lines[lines.index("bob as app_readwrite: in") + 2])


def test_carols_refusal_explains_itself(told: subprocess.CompletedProcess[str]) -> None:
    """Whoever runs the line that the demo prints learns why she was refused and what to change, at which place."""
    line = re.search(r"^carol as .*?^    why: (.*?)$", told.stdout, re.DOTALL | re.MULTILINE)
    assert line, told.stdout
    explained = subprocess.run(line[1].split(), capture_output=True, text=True, timeout=60)
    assert explained.returncode == 0, explained.stderr
    for said in (
        "and was REFUSED: no_rule.",
        'The rule that came nearest is "readers"',
        "any_role: it asks for the token role app_readonly or app_readwrite; the token's roles: none",
        "give carol the role app_readonly or app_readwrite",
        'those of the client "postgres"',
    ):
        assert said in explained.stdout, explained.stdout


def test_line_to_try_by_hand_is_printed(told: subprocess.CompletedProcess[str]) -> None:
    assert 'pgbearer connect "host=localhost port=' in told.stdout
    assert "pgbearer logout --issuer https://localhost:" in told.stdout
    assert "sslmode=verify-full" in told.stdout


def test_everything_is_left_running(told: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert [process.alive() for process in processes(folder)] == [True] * 3


def test_second_run_uses_the_first(told: subprocess.CompletedProcess[str], demo: Demo, folder: Path) -> None:
    before = processes(folder)

    again = demo("up")

    assert again.returncode == 0, again.stdout + again.stderr
    assert "running already" in again.stderr
    assert processes(folder) == before


def test_no_token_is_shown_or_logged(told: subprocess.CompletedProcess[str], demo: Demo, folder: Path) -> None:
    logs = demo("logs")

    assert logs.returncode == 0
    assert "role_not_allowed" in logs.stdout
    shown = told.stdout + told.stderr + logs.stdout
    files = [file for file in (folder / "demo").rglob("*") if file.suffix in {".log", ".jsonl", ".json"}]
    assert len(files) >= 4
    assert not A_TOKEN.search(shown)
    assert not [file for file in files if A_TOKEN.search(file.read_text(errors="replace"))]


def test_down_leaves_nothing(told: subprocess.CompletedProcess[str], demo: Demo, folder: Path) -> None:
    running = processes(folder)

    gone = demo("down")

    assert gone.returncode == 0
    assert not any(process.alive() for process in running)
    assert not (folder / "demo").exists()
    assert demo("logs").returncode == 1
