"""The page about programs that cannot do OAuth says what is so: its commands run, its settings are read."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgbearer.client import load_client_file
from tests.integration.fix_local import HOLDER, Local
from tests.parts.postgres import embedded

PAGE = (Path(__file__).parents[2] / "docs" / "proxy.md").read_text()
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
SETTINGS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
(SAID,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
SERVES = "pgbearer proxy appdb\n"


@pytest.fixture
def reader(local: Local) -> Iterator[Local]:
    """Somebody who has the page's upstream, and whose programs are in the path."""
    local.server.server.sql("CREATE ROLE app_readonly LOGIN")
    conninfo = f"{local.server.conninfo} dbname=appdb user=app_readonly"
    local.write(f'[upstreams.appdb]\nconninfo = "{conninfo}"\n')
    programs = f"{Path(sys.executable).parent}:{embedded().bin}:/usr/bin:/bin"
    local.environment["PATH"] = programs
    yield local
    local.server.server.sql("DROP ROLE app_readonly")


def test_every_command_runs(reader: Local) -> None:
    before, after = COMMANDS[: COMMANDS.index(SERVES)], COMMANDS[COMMANDS.index(SERVES) + 1 :]
    assert (len(before), len(after)) == (3, 1)
    said = [run(reader, command) for command in before]
    assert f"{HOLDER} | app_readonly" in said[0]
    assert (reader.folder / "schema.sql").read_text().startswith("--\n-- PostgreSQL database dump")
    assert "app_readonly" in said[2]

    command = SERVES.split()
    how = {"env": reader.environment, "cwd": reader.folder, "stdin": subprocess.DEVNULL}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **how) as proxy:  # type: ignore[call-overload]
        line = proxy.stdout.readline()
        assert line == SAID.replace("/run/user/1000", reader.environment["XDG_RUNTIME_DIR"])
        typed = line.partition(": ")[2].strip()
        assert HOLDER in run(reader, f"{typed} -c 'SELECT system_user'")
        assert "/pgbearer/appdb:5432" in run(reader, after[0])
        proxy.terminate()
        assert proxy.wait(60) == 0


def run(reader: Local, command: str) -> str:
    how = {"env": reader.environment, "cwd": reader.folder, "stdin": subprocess.DEVNULL}
    done = subprocess.run(["sh", "-ec", command], capture_output=True, text=True, timeout=60, **how)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@pytest.mark.parametrize("settings", SETTINGS, ids=["a person", "a whole machine"])
def test_the_settings_are_read(tmp_path: Path, settings: str) -> None:
    file = tmp_path / "client.toml"
    file.write_text(settings)
    read = load_client_file({"PGBEARER_CONFIG_FILE": str(file)})
    assert list(read.upstreams) == ["appdb"]
    assert set(read.peers.values()) <= set(read.profiles)


def test_the_units_are_those_that_the_page_names() -> None:
    units = {path.name for path in (Path(__file__).parents[2] / "docs" / "systemd").glob("pgbearer-proxy*")}
    assert set(re.findall(r"systemd/(pgbearer-proxy[\w.-]+)\)", PAGE)) == units
