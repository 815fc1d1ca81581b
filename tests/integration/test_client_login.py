"""From the device code to the database: a programmable issuer, the real commands, a real PostgreSQL with the module."""

import asyncio
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pgbearer
from pgbearer.client import (
    AccessToken,
    DeviceCode,
    LoginRefusedError,
    TokenRefusedError,
    UnsafeServerError,
)
from pgbearer.client.login.device import device_login
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import run
from pgbearer.http import SyncFetcher
from tests.device_issuer import DeviceIssuer
from tests.integration.fix_postgres import ISSUER, LOCAL, BearerServer, module_settings
from tests.lying_service import LyingService
from tests.parts.authority import Authority
from tests.parts.postgres import Installation


def _echo(liar: LyingService) -> None:
    """Allow everybody, as an identity that only their token gives: a crossed token would be seen in system_user."""

    def behave(connection: socket.socket, request: dict[str, Any]) -> None:
        reference = hashlib.sha256(request["token"].encode()).hexdigest()[:12]
        liar._answer_with({"decision": "allow", "identity": f"holder-of-{reference}"})(connection, request)

    liar._behaviour = behave


def at(server: BearerServer, role: str = "app") -> str:
    return f"host={server.folder} port={server.port} user={role} dbname=postgres"


def who(connection: psycopg.Connection[Any]) -> tuple[Any, ...] | None:
    return connection.execute("SELECT system_user, current_user").fetchone()


# connections to a real server


def test_fifty_threads_with_different_tokens(bearer: BearerServer, liar: LyingService) -> None:
    _echo(liar)

    def log_in(number: int) -> bool:
        held = AccessToken(f"token-of-thread-{number}")
        with pgbearer.connect(at(bearer), token=held, issuer=ISSUER) as connection:
            return who(connection) == (f"oauth:holder-of-{held.ref}", "app")

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(log_in, range(150)))


async def test_fifty_tasks_with_different_tokens(bearer: BearerServer, liar: LyingService) -> None:
    _echo(liar)

    async def log_in(number: int) -> bool:
        held = AccessToken(f"token-of-task-{number}")
        async with await pgbearer.connect_async(at(bearer), token=held, issuer=ISSUER) as connection:
            cursor = await connection.execute("SELECT system_user")
            return await cursor.fetchone() == (f"oauth:holder-of-{held.ref}",)

    for _ in range(3):
        assert all(await asyncio.gather(*map(log_in, range(50))))


def test_a_refusal_names_the_token_for_the_audit_and_nothing_else(bearer: BearerServer, liar: LyingService) -> None:
    liar.deny("role_not_allowed")
    held = AccessToken("a-token-that-is-refused")
    with pytest.raises(TokenRefusedError, match=f"explain --token-ref {held.ref}") as caught:
        pgbearer.connect(at(bearer), token=held, issuer=ISSUER)
    assert held.reveal() not in str(caught.value)
    assert "role_not_allowed" not in str(caught.value)


def test_the_servers_scopes_are_known_after_a_refusal(bearer: BearerServer, liar: LyingService) -> None:
    liar.deny("scope_missing")
    held = AccessToken("opaque", scope="openid")
    with pytest.raises(TokenRefusedError, match="asks for the scope db:demo, which this token lacks"):
        pgbearer.connect(at(bearer), token=held, issuer=ISSUER)


def test_a_server_of_another_issuer_gets_no_token(bearer: BearerServer, liar: LyingService) -> None:
    with pytest.raises(UnsafeServerError, match=ISSUER):
        pgbearer.connect(at(bearer), token="opaque", issuer="https://other.test")
    assert liar.requests == []


def test_break_glass_lines_do_not_pass_for_a_login(bearer: BearerServer, liar: LyingService) -> None:
    with pytest.raises(TokenRefusedError, match="server did not complete authentication"):
        pgbearer.connect(at(bearer, "postgres"), token="opaque", issuer=ISSUER)
    assert liar.requests == []


# logins at an issuer


@pytest.fixture(scope="module")
def one_issuer(issuer_authority: Authority) -> Iterator[DeviceIssuer]:
    with DeviceIssuer(issuer_authority) as serving:
        yield serving


@pytest.fixture
def device_issuer(one_issuer: DeviceIssuer) -> DeviceIssuer:
    one_issuer.begin_anew()
    return one_issuer


def log_in(issuer: DeviceIssuer, shown: list[DeviceCode]) -> AccessToken:
    steps = device_login(LoginRequest(issuer.url, "pgbearer-cli", "openid"), monotonic=lambda: 0.0, wall=lambda: 0.0)
    with SyncFetcher(issuer.ca_file) as fetcher:
        return run(steps, fetcher, shown.append, sleep=lambda _seconds: None).access


def test_a_device_login_over_https(device_issuer: DeviceIssuer) -> None:
    device_issuer.polls.extend(["authorization_pending", "slow_down"])
    shown: list[DeviceCode] = []
    assert [log_in(device_issuer, shown).reveal()] == device_issuer.issued
    assert shown == [DeviceCode(f"{device_issuer.url}/device", "ABCD-EFGH", 120)]
    assert [path.rpartition("/")[2] for path, _ in device_issuer.forms] == ["device", "token", "token", "token"]


def test_metadata_in_rfc_8414s_place(device_issuer: DeviceIssuer) -> None:
    device_issuer.without_openid_metadata()
    assert [log_in(device_issuer, []).reveal()] == device_issuer.issued


def test_a_denied_login_over_https(device_issuer: DeviceIssuer) -> None:
    device_issuer.polls.append("access_denied")
    with pytest.raises(LoginRefusedError, match="denied on the device page"):
        log_in(device_issuer, [])


# the commands


@pytest.fixture
def environment(device_issuer: DeviceIssuer, tmp_path: Path) -> dict[str, str]:
    device_issuer.changes["interval"] = 1
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DBUS_"))}
    where = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    return kept | where | {"PGBEARER_ISSUER": device_issuer.url, "PGBEARER_CA_FILE": str(device_issuer.ca_file)}


def command(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).with_name("pgbearer"))
    return subprocess.run(
        [program, *arguments], env=env, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )


@dataclass
class Database:
    """A server whose HBA names the device issuer, and the service that it asks."""

    server: BearerServer
    service: LyingService

    @property
    def conninfo(self) -> str:
        return at(self.server)


@pytest.fixture(scope="module")
def one_server(postgres: Installation, one_issuer: DeviceIssuer) -> Iterator[BearerServer]:
    oauth = f'local all all oauth issuer="{one_issuer.url}" scope="openid" delegate_ident_mapping=1'
    ours = module_settings(postgres, preload=True)
    server = BearerServer(postgres, ours, (LOCAL, oauth))
    server.configure({**ours, "pgbearer.endpoints": f"unix:{server.socket}"}, (LOCAL, oauth))
    try:
        server.start()
        server.sql("CREATE ROLE app LOGIN")
        yield server
    finally:
        server.remove()


@pytest.fixture
def database(one_server: BearerServer, device_issuer: DeviceIssuer, environment: dict[str, str]) -> Iterator[Database]:
    """And a login that is kept."""
    assert command("login", env=environment).returncode == 0
    service = LyingService(one_server.socket)
    service.start()
    _echo(service)
    yield Database(one_server, service)
    service.stop()
    assert not any(token in one_server.log for token in device_issuer.issued)


def test_login_says_who_and_until_when(device_issuer: DeviceIssuer, environment: dict[str, str]) -> None:
    done = command("login", "--qr", "--no-browser", "--scope", "openid db:demo", env=environment)
    assert done.returncode == 0, done.stderr
    assert f"{device_issuer.url}/device\n" in done.stderr
    assert "code: ABCD-EFGH" in done.stderr
    assert "█" in done.stderr
    assert "logged in as   alice\n" in done.stdout
    assert AccessToken(device_issuer.issued[0]).ref in done.stdout
    assert device_issuer.issued[0] not in done.stdout + done.stderr
    assert device_issuer.forms[0][1] == {"client_id": "pgbearer-device", "scope": "openid db:demo"}


def test_login_for_machines(device_issuer: DeviceIssuer, environment: dict[str, str]) -> None:
    said = json.loads(command("login", "--json", "--client-id", "other", env=environment).stdout)
    assert (said["issuer"], said["user"], said["audience"]) == (device_issuer.url, "alice", ["db:demo"])
    assert device_issuer.forms[0][1]["client_id"] == "other"


def test_token_prints_the_token_into_a_pipe(device_issuer: DeviceIssuer, environment: dict[str, str]) -> None:
    command("login", env=environment)
    done = command("token", env=environment)
    assert done.stdout == device_issuer.issued[0] + "\n"
    assert device_issuer.issued[0] not in done.stderr


def test_token_does_not_print_it_on_a_terminal(device_issuer: DeviceIssuer, environment: dict[str, str]) -> None:
    ours, theirs = os.openpty()
    program = str(Path(sys.executable).with_name("pgbearer"))
    with os.fdopen(ours), os.fdopen(theirs) as terminal:
        done = subprocess.run([program, "token"], env=environment, stdout=terminal, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, device_issuer.forms) == (2, [])
    assert "--show" in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [("invalid_client", 1, "does not know this client"), ("invalid_scope", 1, "scope does not exist")],
)
def test_a_refused_login(
    device_issuer: DeviceIssuer, environment: dict[str, str], error: str, code: int, says: str
) -> None:
    device_issuer.refuse_authorization = error
    done = command("login", env=environment)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_an_issuer_that_is_down(device_issuer: DeviceIssuer, environment: dict[str, str]) -> None:
    device_issuer.down()
    assert command("login", env=environment).returncode == 3


def test_an_issuer_whose_authority_is_not_trusted(environment: dict[str, str]) -> None:
    del environment["PGBEARER_CA_FILE"]
    done = command("login", env=environment)
    assert done.returncode == 3
    assert "TLS failed" in done.stderr
    assert "--ca-file" in done.stderr


def test_no_issuer_is_a_usage_error(environment: dict[str, str]) -> None:
    del environment["PGBEARER_ISSUER"]
    done = command("login", env=environment)
    assert (done.returncode, "PGBEARER_ISSUER" in done.stderr) == (2, True)


def test_connect_says_who_you_are(database: Database, device_issuer: DeviceIssuer, environment: dict[str, str]) -> None:
    done = command("connect", database.conninfo, env=environment)
    assert done.returncode == 0, done.stderr
    held = AccessToken(device_issuer.issued[0])
    assert f"system_user    oauth:holder-of-{held.ref}\ncurrent_user   app\n" in done.stdout
    assert re.search(r"^token expires  20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC \(in ", done.stdout, re.MULTILINE)
    assert held.reveal() not in done.stdout + done.stderr


def test_connect_for_machines(database: Database, environment: dict[str, str]) -> None:
    said = json.loads(command("connect", "--json", database.conninfo, env=environment).stdout)
    assert (said["current_user"], said["database"]) == ("app", "postgres")
    assert said["system_user"].removeprefix("oauth:holder-of-") == said["token_ref"]


def test_connect_takes_the_issuer_from_the_service_file(
    database: Database, environment: dict[str, str], tmp_path: Path
) -> None:
    issuer = environment.pop("PGBEARER_ISSUER")
    lines = [*database.conninfo.split(), f"oauth_issuer={issuer}", "oauth_client_id=from-service"]
    service = tmp_path / "pg_service.conf"
    service.write_text("[appdb]\n" + "\n".join(lines) + "\n")
    command("login", "--issuer", issuer, "--client-id", "from-service", env=environment)
    done = command("connect", "service=appdb", env=environment | {"PGSERVICEFILE": str(service)})
    assert done.returncode == 0, done.stderr


def test_connect_runs_a_command_and_prints_its_results(database: Database, environment: dict[str, str]) -> None:
    sql = "SELECT 1 AS n, E'a\\x1b[2J' AS text, NULL AS nothing; CREATE TEMP TABLE t (); SELECT 'ü' AS x WHERE false"
    done = command("connect", database.conninfo, "--command", sql, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "n | text     | nothing\n--+----------+--------\n1 | a\\x1b[2J |\n(1 row)\nCREATE TABLE\nx\n-\n(0 rows)\n"
    )


def test_connect_prints_no_column_name_that_a_terminal_would_obey(
    database: Database, environment: dict[str, str]
) -> None:
    """Whoever owns a view names its columns."""
    done = command("connect", database.conninfo, "--command", 'SELECT 1 AS U&"n\\001b[2J"', env=environment)
    assert done.stdout == "n\\x1b[2J\n--------\n1\n(1 row)\n"


def test_connect_prints_results_as_json(database: Database, environment: dict[str, str]) -> None:
    done = command("connect", database.conninfo, "--json", "--command", "SELECT 1 AS n, 'ü' AS u", env=environment)
    assert json.loads(done.stdout) == {"status": "SELECT 1", "rows": [{"n": 1, "u": "ü"}]}


def test_a_command_that_fails(database: Database, environment: dict[str, str]) -> None:
    done = command("connect", database.conninfo, "--command", "SELECT 1/0", env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert "division by zero" in done.stderr


def test_a_command_that_cannot_be_parsed_is_shown_with_the_place(
    database: Database, environment: dict[str, str]
) -> None:
    done = command("connect", database.conninfo, "--command", "SELCT 1", env=environment)
    assert done.stderr.splitlines()[-2:] == ["LINE 1: SELCT 1", "        ^"]


def test_connect_refused(database: Database, device_issuer: DeviceIssuer, environment: dict[str, str]) -> None:
    database.service.deny("no_rule")
    done = command("connect", database.conninfo, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert AccessToken(device_issuer.issued[0]).ref in done.stderr


def test_connect_over_plain_tcp_is_refused_before_anybody_logs_in(
    device_issuer: DeviceIssuer, environment: dict[str, str]
) -> None:
    done = command("connect", "host=db.test sslmode=disable user=app", env=environment)
    assert (done.returncode, device_issuer.forms) == (2, [])
    assert "sslmode=disable" in done.stderr


def test_nobody_logs_in_for_a_server_that_is_not_there(
    device_issuer: DeviceIssuer, environment: dict[str, str], tmp_path: Path
) -> None:
    done = command("connect", f"host={tmp_path}", env=environment)
    assert (done.returncode, device_issuer.forms) == (3, [])
    assert "No token was sent." in done.stderr
