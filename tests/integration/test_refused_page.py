"""The page for who was refused has an example that is what the command prints, and a line to hand on that works."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from pgbearer.client import AccessToken
from tests.integration.fix_chain import PGBEARER, Chain

PAGE = (Path(__file__).parents[2] / "docs" / "refused.md").read_text()
(EXAMPLE,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def environment(chain: Chain, tmp_path: Path) -> dict[str, str]:
    chain.issuer.changes["interval"] = 1
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DBUS_"))}
    where = {"PGBEARER_ISSUER": chain.issuer.url, "PGBEARER_CA_FILE": str(chain.issuer.ca_file)}
    return kept | where | {"XDG_STATE_HOME": str(tmp_path / "state")}


def run(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PGBEARER, *words], env=env, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )


def test_the_example_is_what_the_command_prints(chain: Chain, environment: dict[str, str]) -> None:
    server = chain.server
    logged_in = run("login", "--device", "--no-browser", env=environment)
    assert logged_in.returncode == 0, logged_in.stderr
    done = run("connect", f"host={server.folder} port={server.port} user=app_readwrite dbname=appdb", env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    token = AccessToken(chain.issuer.issued[-1])
    expected = EXAMPLE.replace("/run/postgresql", str(server.folder)).replace("987d3bbd068c", token.ref)
    assert done.stderr.endswith(expected)
    assert not any(part in done.stderr for part in token.reveal().split("."))


def test_the_line_to_hand_on_works(chain: Chain, environment: dict[str, str]) -> None:
    """Whoever runs the server gives the last line of the message to a shell, and is told why."""
    token = AccessToken(chain.issuer.token())
    chain.refusal(role="app_readwrite", token=token.reveal())
    *words, reference = EXAMPLE.split()[-4:]
    assert words == ["pgbearer", "explain", "--token-ref"]
    assert reference == "987d3bbd068c"
    done = run(*words[1:], token.ref, "--socket", str(chain.service.admin_socket), env=environment)
    assert "and was REFUSED: role_not_allowed" in done.stdout, done.stderr
