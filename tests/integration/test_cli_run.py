"""`pgbearer run`: any program finds a way in, no secret, and its own exit code."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.integration.fix_local import HOLDER, Local
from tests.parts.authority import Authority
from tests.proxied import ISSUER, SECRET

LOOK = """
import json, os, pathlib, psycopg
passfile = os.environ.get("PGPASSFILE")
with psycopg.connect() as connection:
    who = connection.execute("SELECT system_user, current_user, current_database()").fetchone()
print(json.dumps({
    "who": who,
    "where": {name: value for name, value in os.environ.items() if name.startswith("PG") and "BEARER" not in name},
    "mode": oct(os.stat(passfile or os.environ["PGHOST"]).st_mode & 0o7777),
    "secret": pathlib.Path(passfile).read_text().split(":")[-1].strip() if passfile else None,
    "seen": {
        f"{whose} {what}": pathlib.Path(f"/proc/{pid}/{what}").read_bytes().decode(errors="replace")
        for whose, pid in (("its", os.getpid()), ("our", os.getppid()))
        for what in ("environ", "cmdline")
    },
}))
"""


def look(local: Local, *options: str, env: dict[str, str] | None = None) -> dict[str, object]:
    said = local.run("run", *options, "appdb", "--", sys.executable, "-c", LOOK, env=env)
    assert (said.returncode, said.stderr) == (0, "")
    found: dict[str, object] = json.loads(said.stdout)
    return found


@pytest.mark.parametrize("tcp", [False, True], ids=["Unix socket", "loopback"])
def test_a_program_finds_its_way_in_and_no_secret(local: Local, tcp: bool) -> None:
    found = look(local, *(["--tcp"] if tcp else []), env={"PGPASSWORD": "hunter2", "PGOAUTHCLIENTSECRET": "hunter2"})
    where = found["where"]
    assert isinstance(where, dict)
    assert found["who"] == [HOLDER, "app", "appdb"]
    names = {"PGHOST", "PGPORT", "PGUSER", "PGDATABASE"} | ({"PGPASSFILE"} if tcp else set())
    assert set(where) == names
    assert found["mode"] == ("0o600" if tcp else "0o700")
    assert where["PGHOST"] == "127.0.0.1" if tcp else not Path(where["PGHOST"]).exists()
    seen = found["seen"]
    assert isinstance(seen, dict)
    assert "hunter2" in seen.pop("our environ"), "the test must be able to fail"
    for text in seen.values():
        assert "hunter2" not in text
        assert SECRET not in text
        assert not tcp or str(found["secret"]) not in text


def test_what_is_not_ours_is_refused_on_the_loopback(local: Local) -> None:
    script = """
import os, psycopg
try:
    psycopg.connect(password="wrong", passfile="/dev/null/none")
except psycopg.OperationalError as error:
    print(error)
"""
    said = local.run("run", "--tcp", "appdb", "--", sys.executable, "-c", script)
    assert "password authentication failed" in said.stdout


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -9 $$", 137)]
)
def test_its_exit_code_is_the_programs(local: Local, script: str, code: int) -> None:
    assert local.run("run", "appdb", "--", "sh", "-c", script).returncode == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1])
def test_signals_that_only_we_get_are_the_programs(local: Local, number: signal.Signals) -> None:
    script = f"trap 'exit 42' {number.name.removeprefix('SIG')}; echo there; while :; do sleep 0.05; done"
    command = local.command("run", "appdb", "--", "sh", "-c", script)
    with subprocess.Popen(command, env=local.environment, stdout=subprocess.PIPE, start_new_session=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"there\n"
        running.send_signal(number)
        assert running.wait(60) == 42


def test_what_is_ignored_stays_ignored(local: Local) -> None:
    command = ["nohup", *local.command("run", "appdb", "--", "sh", "-c", "kill -HUP $$; kill -HUP $PPID; echo alive")]
    said = subprocess.run(
        command, env=local.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert (said.returncode, said.stdout) == (0, "alive\n")


def test_connections_end_with_the_program(local: Local) -> None:
    script = "(sleep 600 >/dev/null 2>&1 & echo $!); psql -XAtc 'SELECT 1'; echo $PGHOST"
    said = local.run("run", "appdb", "--", "sh", "-c", script)
    pid, one, folder = said.stdout.split()
    try:
        assert one == "1"
        assert not Path(folder).exists()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(host=folder, user="app", dbname="appdb")
    finally:
        os.kill(int(pid), signal.SIGKILL)
    assert local.server.sessions() == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["appdb", "--", "no-such-program"], 2, "there is no program 'no-such-program'"),
        (["appdb"], 2, "Missing argument"),
        (["appdb", "--"], 2, "there is no program to run"),
        (["appdb", "--profile", "robot", "--", "true"], 2, "--profile stands where the program does"),
        (["apdb", "--", "true"], 2, "no upstream is called 'apdb'; did you mean \"appdb\"?"),
        (["host=localhost sslmode=require", "--", "true"], 2, "sslmode=require does not verify"),
        (["host=localhost password=hunter2", "--", "true"], 2, "a password has no place"),
        (["host=127.0.0.1 port=1", "--", "true"], 2, "there is no file of authorities to verify the server by"),
        (["host=127.0.0.1 port=1 sslrootcert=system", "--", "true"], 3, "No token was sent"),
        (["--profile", "robot", "host=localhost oauth_issuer=https://other.test", "--", "true"], 2, "issuers differ"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_it_is_not_started_where_nobody_could_log_in(local: Local, words: list[str], code: int, message: str) -> None:
    said = local.run("run", *words)
    assert said.returncode == code
    assert message in said.stderr
    assert "hunter2" not in said.stderr


def test_a_server_that_asks_for_another_issuers_token_gets_none(local: Local) -> None:
    local.client_file.write_text(local.client_file.read_text().replace(ISSUER, "https://other.test"))
    before = len(local.server.server.log)
    said = local.run("run", "appdb", "--", "true")
    assert said.returncode == 2
    assert "The server asks for another issuer's" in said.stderr
    assert "OAuth login" not in local.server.server.log[before:]


@pytest.mark.parametrize("option", ["sslrootcert", "sslcrl", "sslcert", "sslkey"])
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(local: Local, option: str) -> None:
    pipe = local.folder / "pipe"
    os.mkfifo(pipe, 0o600)
    own = Authority(local.folder / "own").client("app")
    files = {"sslcert": own.cert_file, "sslkey": own.key_file} | {option: pipe}
    conninfo = f"{local.conninfo} " + " ".join(f"{name}={file}" for name, file in files.items())
    said = local.run("run", conninfo, "--", "true")
    assert said.returncode == 2, said.stderr
    assert f"{pipe}: is no regular file" in said.stderr
