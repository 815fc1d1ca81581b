"""A person is asked once, before psql begins; after that nobody is, whatever psql connects to."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.fix_chain import PGBEARER, Chain
from tests.parts.postgres import embedded
from tests.parts.terminal import Terminal


@pytest.fixture
def environment(chain: Chain, tmp_path: Path) -> dict[str, str]:
    """Of somebody with a profile and an upstream, and no login yet."""
    chain.issuer.begin_anew()
    chain.issuer.changes["interval"] = 1
    server = chain.server
    (tmp_path / "client.toml").write_text(
        'default = "me"\n'
        f'[profiles.me]\nissuer = "{chain.issuer.url}"\nca_file = "{chain.issuer.ca_file}"\nstore = "file"\n'
        f'[upstreams.appdb]\nconninfo = "host={server.folder} port={server.port} user=app_readonly dbname=appdb"\n'
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DBUS_", "XDG_"))}
    ours = {"PGBEARER_CONFIG_FILE": str(tmp_path / "client.toml"), "XDG_STATE_HOME": str(tmp_path / "state")}
    return kept | ours | {"TERM": "dumb", "PSQL_HISTORY": "/dev/null", "HOME": str(tmp_path)}


def command(*words: str) -> list[str]:
    return [PGBEARER, *words]


def asked(chain: Chain) -> int:
    """How often the issuer was asked to begin a device login."""
    return sum(path.endswith("/device") for path, _ in chain.issuer.forms)


def test_somebody_is_asked_once_and_before_psql_begins(chain: Chain, environment: dict[str, str]) -> None:
    psql = command("psql", "--device", "--psql", str(embedded().bin / "psql"), "appdb", "-X")
    with Terminal(psql, environment) as terminal:
        terminal.until("ABCD-EFGH")
        terminal.until("appdb=> ")
        for _ in range(3):
            terminal.type("\\c")
            terminal.until("You are now connected")
            terminal.until("appdb=> ")
        terminal.type("\\q")
        assert terminal.ends() == 0
    assert asked(chain) == 1
    assert not any(token in terminal.said for token in chain.issuer.issued)

    again = subprocess.run(
        command("run", "appdb", "--", str(embedded().bin / "psql"), "-XAtc", "SELECT current_user"),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (again.returncode, again.stdout, asked(chain)) == (0, "app_readonly\n", 1), again.stderr


def test_nobody_is_asked_without_a_terminal(chain: Chain, environment: dict[str, str]) -> None:
    said = subprocess.run(
        command("run", "appdb", "--", "true"),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 1
    assert "pgbearer login" in said.stderr
    assert asked(chain) == 0


def test_nobody_is_asked_for_a_server_that_is_not_there(chain: Chain, environment: dict[str, str]) -> None:
    with Terminal(command("psql", "--device", "host=/nonexistent user=app_readonly"), environment) as terminal:
        assert terminal.ends() == 3
    assert "No token was sent" in terminal.said
    assert asked(chain) == 0
