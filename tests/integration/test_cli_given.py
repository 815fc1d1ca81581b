"""--token-file and --token-command: a token that a file or a program gives, by way of every command that logs in."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pgbearer.client import AccessToken
from tests.integration.fix_chain import PGBEARER
from tests.integration.fix_local import HOLDER, Local
from tests.integration.test_cli_proxy import started
from tests.issuer import Mint
from tests.parts.postgres import embedded
from tests.proxied import ISSUER

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()
WHO = "SELECT system_user"
SHOWS = ["sh", "-c", f'psql -XAtc "{WHO}"']


def token(sub: str, issuer: str = ISSUER) -> str:
    return Mint(issuer).token(sub=sub)


def holder(token: str) -> str:
    return f"oauth:holder-of-{AccessToken(token).ref}"


def keep(local: Local, token: str) -> Path:
    """A private file with the token, written by a rename."""
    file = local.folder / "given"
    new = local.folder / "given.new"
    new.touch(mode=0o600)
    new.write_text(f"{token}\n")
    return new.rename(file)


def printer(local: Local, token: str) -> str:
    """A command line that prints the token, and notes in a file that it was run."""
    notes = local.folder / "runs"
    script = (
        f"import pathlib; open({str(notes)!r}, 'a').write('run\\n'); print(open({str(keep(local, token))!r}).read())"
    )
    return shlex.join([sys.executable, "-c", script])


def runs(local: Local) -> int:
    return len((local.folder / "runs").read_text().splitlines())


@pytest.fixture
def bare(local: Local) -> Local:
    """client.toml has an upstream and no profile."""
    local.client_file.write_text(f'[upstreams.appdb]\nconninfo = "{local.conninfo}"\n')
    return local


@pytest.fixture(params=["--token-file", "--token-command"])
def option(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def said_by(local: Local, option: str, token: str) -> list[str]:
    return [option, str(keep(local, token)) if option == "--token-file" else printer(local, token)]


def test_connect(bare: Local, option: str) -> None:
    ours = token("connect")
    said = bare.run("connect", bare.conninfo, "--json", *said_by(bare, option, ours))
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["system_user"] == holder(ours)
    assert ours not in said.stdout + said.stderr
    assert option == "--token-file" or runs(bare) == 1, "it named the issuer, and was then used"


def test_run(bare: Local, option: str) -> None:
    ours = token("run")
    said = bare.run("run", *said_by(bare, option, ours), "appdb", "--", *SHOWS)
    assert (said.returncode, said.stdout, said.stderr) == (0, f"{holder(ours)}\n", "")


def test_psql(bare: Local, option: str) -> None:
    ours = token("psql")
    said = bare.run("psql", *said_by(bare, option, ours), "appdb", "-XAtc", WHO)
    assert (said.returncode, said.stdout, said.stderr) == (0, f"{holder(ours)}\n", "")


def test_proxy_reads_the_file_at_each_connection(bare: Local) -> None:
    first, second = token("first"), token("second")
    with started(bare, "--token-file", str(keep(bare, first)), "appdb") as proxy:
        with proxy.connect() as connection:
            assert connection.execute(WHO).fetchone() == (holder(first),)
        keep(bare, second)
        with proxy.connect() as connection:
            assert connection.execute(WHO).fetchone() == (holder(second),)
        code, err = proxy.stop()
    assert code == 0
    assert not any(one in err for one in (first, second))


def test_proxy_runs_the_program_once_for_many_connections(bare: Local) -> None:
    ours = token("proxy")
    with started(bare, "--token-command", printer(bare, ours), "appdb") as proxy:
        for _ in range(3):
            with proxy.connect() as connection:
                assert connection.execute(WHO).fetchone() == (holder(ours),)
    assert runs(bare) == 1


def test_token_prints_it_and_whose_it_is(bare: Local, option: str) -> None:
    ours = token("token")
    said = bare.run("token", "--json", *said_by(bare, option, ours))
    told = json.loads(said.stdout)
    assert (told["access_token"], told["issuer"]) == (ours, ISSUER)


def test_it_goes_before_the_source_of_a_profile(local: Local, option: str) -> None:
    ours = token("before")
    words = said_by(local, option, ours)
    assert holder(ours) in local.run("connect", local.conninfo, *words).stdout
    assert holder(ours) in local.run("connect", local.conninfo, "--profile", "robot", *words).stdout
    assert HOLDER in local.run("connect", local.conninfo).stdout


def test_it_goes_before_the_source_of_an_upstreams_profile(local: Local, option: str) -> None:
    local.write(f'[upstreams.appdb]\nconninfo = "{local.conninfo}"\nprofile = "robot"\n')
    ours = token("upstream")
    said = local.run("run", *said_by(local, option, ours), "appdb", "--", *SHOWS)
    assert (said.stdout, said.stderr) == (f"{holder(ours)}\n", "")


def test_a_token_without_a_name_is_for_the_issuer_that_is_said(bare: Local, option: str) -> None:
    words = said_by(bare, option, "opaque-token")
    unknown = bare.run("connect", bare.conninfo, *words)
    assert unknown.returncode == 2
    assert "no issuer is given, and the token names none" in unknown.stderr
    said = bare.run("connect", bare.conninfo, *words, "--issuer", ISSUER)
    assert holder("opaque-token") in said.stdout


@pytest.mark.parametrize(
    "how", [[], ["--issuer", ISSUER], ["--profile", "robot"]], ids=lambda how: how[0] if how else "the token alone"
)
@pytest.mark.parametrize("command", ["connect", "run"])
def test_another_issuers_token_does_not_leave(local: Local, command: str, how: list[str]) -> None:
    theirs = token("theirs", "https://other.test")
    before = len(local.server.server.log)
    words = [*how, "--token-file", str(keep(local, theirs))]
    rest = [local.conninfo] if command == "connect" else [local.conninfo, "--", *SHOWS]
    said = local.run(command, *words, *rest)
    assert said.returncode == 2
    assert "https://other.test" in said.stderr
    assert theirs not in said.stderr
    assert "OAuth login" not in local.server.server.log[before:]


def test_nobody_is_asked_where_there_is_none(bare: Local) -> None:
    file = keep(bare, token("late"))
    failing = bare.run("connect", bare.conninfo, "--token-command", "sh -c 'echo no luck >&2; exit 3'")
    assert failing.returncode == 3
    assert "no luck\n" in failing.stderr
    assert "sh: the program ended with exit code 3" in failing.stderr
    file.chmod(0o666)
    loose = bare.run("connect", bare.conninfo, "--token-file", file)
    assert loose.returncode == 2
    assert "others can write it (mode 0666)" in loose.stderr
    missing = bare.run("connect", bare.conninfo, "--token-file", bare.folder / "gone")
    assert (missing.returncode, "cannot be read" in missing.stderr) == (2, True)


def test_no_shell_reads_the_command(bare: Local) -> None:
    said = bare.run("token", "--issuer", ISSUER, "--token-command", "echo a.b.c; touch /tmp/never")
    assert said.returncode == 3
    assert "there is no token here" in said.stderr
    assert bare.run("token", "--issuer", ISSUER, "--token-command", "echo $HOME").stdout == ""


def test_the_commands_on_the_page(bare: Local) -> None:
    (block,) = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    ours = token("page")
    program = bare.folder / "db-token"
    program.write_text(f"#!/bin/sh\nexec cat {keep(bare, ours)}\n")
    program.chmod(0o700)
    service = bare.folder / "pg_service.conf"
    service.write_text("[appdb]\n" + "\n".join(bare.conninfo.split()) + "\n")
    typed = block.replace("/run/token/db", str(keep(bare, ours))).replace("/usr/local/bin/db-token", str(program))
    ways = {"PATH": f"{Path(PGBEARER).parent}:{embedded().bin}:{os.environ['PATH']}", "PGSERVICEFILE": str(service)}
    said = subprocess.run(
        ["sh", "-ec", typed],
        env={**bare.environment, **ways},
        cwd=bare.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.count(holder(ours)) == 2
    assert "PostgreSQL database dump complete" in (bare.folder / "schema.sql").read_text()
