"""The commands of the pages "Use it with", run as they stand there, with a login that is kept and the real programs."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pgbearer.client.store import open_store
from tests.e2e.fix_proxy import Approving, person_source
from tests.e2e.fix_stack import LoginStack
from tests.parts import golang, tls_postgres
from tests.parts.drivers import PROGRAMS, jdbc_driver, node_postgres
from tests.parts.needs import JDK, MAVEN, NPM

PAGES = Path(__file__).parents[2] / "docs" / "use-with"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SERVES = re.compile(r"pgbearer proxy\b(?! status)")
"""Does not end by itself: tests/integration has the command."""


def commands(page: str) -> list[str]:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    lines = [line for kind, block in BLOCK.findall(text) if kind == "sh" for line in block.splitlines()]
    return [line for line in lines if not SERVES.match(line)]


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a person sits who has logged in today."""

    folder: Path
    environment: dict[str, str]

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """What a shell does with `line`."""
        where = self.folder / "pgx" if " go run " in line else self.folder
        return subprocess.run(
            ["sh", "-c", line],
            cwd=where,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150,
        )


@pytest.fixture(scope="module")
def desk(need: Callable[..., None], stack: LoginStack) -> Iterator[Desk]:
    """The client.toml of the index, for this stack; alice's login in its store; the programs at hand."""
    need(JDK, MAVEN, NPM)
    with tempfile.TemporaryDirectory(prefix="pgbearer-desk-", dir="/tmp") as name:
        folder = Path(name)
        settings = folder / "client.toml"
        settings.touch(mode=0o600)
        settings.write_text(_settings(stack))
        person_source(stack, Approving(stack), open_store("file", folder=folder / "state" / "pgbearer")).log_in()
        _lay_out(folder, stack)
        path = [Path(sys.executable).parent, tls_postgres.installation() / "bin", golang.toolchain("1.26.0").parent]
        ours = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "XDG"))}
        yield Desk(
            folder,
            {
                **ours,
                "PATH": os.pathsep.join([*map(str, path), os.environ["PATH"]]),
                "PGBEARER_CONFIG_FILE": str(settings),
                "XDG_STATE_HOME": str(folder / "state"),
                "XDG_RUNTIME_DIR": str(folder),
                "GOTOOLCHAIN": "local",
            },
        )


def _settings(stack: LoginStack) -> str:
    text: str
    (text,) = (block for kind, block in BLOCK.findall((PAGES / "index.md").read_text()) if kind == "toml")
    where = f"host=localhost port={stack.server.port} sslrootcert={stack.ca_file}"
    text = text.replace("https://sso.example.org/realms/corp", stack.issuer).replace("host=db.example.org", where)
    return text.replace("[profiles.corp]", f'[profiles.corp]\nstore = "file"\nca_file = "{stack.ca_file}"')


def _lay_out(folder: Path, stack: LoginStack) -> None:
    """What the commands name."""
    stack.server.sql("GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO app_readonly", "appdb")
    for file in PROGRAMS.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    shutil.copytree(PROGRAMS / "pgx", folder / "pgx")
    (folder / "postgresql.jar").symlink_to(jdbc_driver())
    (folder / "node_modules").symlink_to(node_postgres())
    (folder / "script.sql").write_text("SELECT count(*) FROM notes;\n")


PROGRAM_PAGES = ("jdbc", "node", "python", "go")


@pytest.mark.parametrize("line", commands("psql"))
def test_a_command_of_postgresqls_own_programs(desk: Desk, line: str) -> None:
    done = desk.run(line)

    wanted = 1 if line.endswith("proxy status") else 0  # none runs
    assert done.returncode == wanted, done.stdout + done.stderr
    assert "eyJ" not in done.stdout + done.stderr


@pytest.mark.parametrize("line", [line for page in PROGRAM_PAGES for line in commands(page)])
def test_a_program_as_its_page_starts_it(desk: Desk, line: str) -> None:
    done = desk.run(line)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["current_user"] == "app_readonly"


def test_every_page_with_a_program_starts_it() -> None:
    assert all(commands(page) for page in ("psql", *PROGRAM_PAGES))
