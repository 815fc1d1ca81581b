"""The command line in an interpreter that has the base install's packages and no others."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

COMMANDS = ("login", "token", "connect", "psql", "run", "proxy", "serve", "config", "decisions", "explain", "revoke")
NEEDS_SERVE = [
    ("serve",),
    ("config", "check", "pgbearer.yaml"),
    ("config", "schema"),
    ("decisions", "list"),
    ("explain", "--decision", "3f0c9a1be2d47f60a1c5"),
    ("revoke", "list"),
]
START = """
import sys
sys.modules.update(dict.fromkeys({absent!r}))  # None: what imports it gets ModuleNotFoundError
from pgbearer.cli import main
sys.argv = {argv!r}
main()
"""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed_with(name: str, extras: frozenset[str] = frozenset()) -> Iterator[str]:
    """The distributions that come with `name`, itself among them."""
    yield normal(name)
    for line in requires(name) or ():
        needed = Requirement(line)
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            yield from installed_with(needed.name, frozenset(needed.extras))


@pytest.fixture(scope="module")
def absent() -> list[str]:
    """Every module of the development environment that the base install does not have."""
    base = set(installed_with("pgbearer"))
    return sorted(
        module
        for module, owners in packages_distributions().items()
        if module.isidentifier() and not base & set(map(normal, owners))
    )


def run(absent: list[str], *words: str) -> subprocess.CompletedProcess[str]:
    start = START.format(absent=absent, argv=["pgbearer", *words])
    return subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, timeout=60)


def test_the_service_is_absent_and_the_client_is_not(absent: list[str]) -> None:
    assert {"uvicorn", "yaml", "click"} <= set(absent)
    assert not {"pgbearer", "typer", "httpx", "psycopg", "rich"} & set(absent)


def test_help_names_every_command(absent: list[str]) -> None:
    ended = run(absent, "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert all(f"\n  {command} " in ended.stdout for command in COMMANDS)


@pytest.mark.parametrize("words", NEEDS_SERVE, ids=" ".join)
def test_what_needs_the_service_says_how_to_get_it(absent: list[str], words: tuple[str, ...]) -> None:
    ended = run(absent, *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    first, second = ended.stderr.splitlines()
    assert first.startswith("pgbearer: this needs the extra [serve] (no module ")
    assert second == "  Install it in a checkout of pgbearer with: pip install '.[serve]' (docs/install.md)"


def test_the_pool_says_how_to_get_psycopgs(absent: list[str]) -> None:
    start = f"import sys; sys.modules.update(dict.fromkeys({absent!r})); import pgbearer.client.pool"
    ended = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "this needs the extra [pool] (no module 'psycopg_pool')" in ended.stderr


def test_login_is_there(absent: list[str]) -> None:
    ended = run(absent, "login")
    assert ended.returncode == 2
    assert ended.stderr.startswith("pgbearer: no issuer is given\n")


def test_an_audit_can_be_read(absent: list[str], tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_text(f'{{"seq":1,"prev":"{"0" * 64}","kind":"start"}}\n')
    assert run(absent, "decisions", "verify", str(tmp_path / "audit.jsonl")).returncode == 0
    assert run(absent, "decisions", "list", "--file", str(tmp_path / "audit.jsonl")).returncode == 0
