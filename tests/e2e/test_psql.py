"""PostgreSQL's own psql with its own device flow, and nothing of ours on the client, over hostssl."""

import re
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.e2e.fix_keycloak import person
from tests.e2e.fix_stack import LoginStack
from tests.parts.debian import CLIENT, DebianRoot
from tests.parts.device_pages import Visit, approve, deny
from tests.parts.needs import DEBOOTSTRAP, ROOT

PROMPT = re.compile(r"Visit (?P<url>https://\S+) and enter the code: (?P<code>\S+)")
A_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")
SECONDS = 60
"""psql polls every 5 s; after this, it is not going to end."""

Answer = Callable[..., Visit]


@dataclass(frozen=True, slots=True)
class Said:
    """How psql ended, and what it said beyond its prompt for the device login."""

    status: int
    output: str
    errors: str
    was_asked: bool


class Psql:
    """psql of Debian, with the run's authority in its system store."""

    def __init__(self, root: DebianRoot, stack: LoginStack) -> None:
        self._root = root
        self._stack = stack

    def run(self, who: str, role: str, sql: str, *, answer: Answer = approve, sslmode: str = "verify-full") -> Said:
        """Run `sql` as `role`; `who` answers the device pages in the way of `answer`."""
        conninfo = (
            f"host=localhost port={self._stack.server.port} dbname=appdb user={role} "
            f"sslmode={sslmode} require_auth=oauth "
            f"oauth_issuer={self._stack.issuer} oauth_client_id=pgbearer-device"
        )
        certificates = "PGSSLROOTCERT=/etc/ssl/certs/ca-certificates.crt"
        command = self._root.command("env", certificates, "psql", "-XAtq", "-d", conninfo, "-c", sql)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as psql:
            watchdog = threading.Timer(SECONDS, psql.kill)
            watchdog.start()
            errors, was_asked = self._watch(psql, who, answer)
            assert psql.stdout is not None
            output = psql.stdout.read()
            status = psql.wait()
            watchdog.cancel()
        return Said(status, output.strip(), errors, was_asked)

    def _watch(self, psql: "subprocess.Popen[str]", who: str, answer: Answer) -> tuple[str, bool]:
        """Answer the pages when psql asks for them; what else it said, and whether it asked."""
        assert psql.stderr is not None
        errors, was_asked = "", False
        for line in psql.stderr:
            if found := PROMPT.search(line):
                answer(found["url"], person(who), ca_file=self._stack.ca_file, user_code=found["code"])
                was_asked = True
            else:
                errors += line
        return errors, was_asked


@pytest.fixture(scope="module")
def psql(need: Callable[..., None], stack: LoginStack, tmp_path_factory: pytest.TempPathFactory) -> Psql:
    need(ROOT, DEBOOTSTRAP)
    root = DebianRoot.of(CLIENT).trusting(stack.ca_file, tmp_path_factory.mktemp("trust"))
    return Psql(root, stack)


WHO = "SELECT system_user, current_user"


def test_alice_reads(psql: Psql) -> None:
    said = psql.run("alice", "app_readonly", "SELECT system_user, current_user, note FROM notes WHERE id = 1")

    assert said.status == 0, said
    assert re.fullmatch(r"oauth:demo:[0-9a-f-]{36}\|app_readonly\|made by make demo", said.output), said
    assert said.was_asked


def test_bob_writes(psql: Psql, stack: LoginStack) -> None:
    said = psql.run("bob", "app_readwrite", "INSERT INTO notes (note) VALUES ('by psql')")

    assert said.status == 0, said
    assert stack.server.sql("SELECT written_by ~ '^oauth:demo:' FROM notes WHERE note = 'by psql'", "appdb") == "t"


@pytest.mark.parametrize(
    ("who", "role", "reason"),
    [("alice", "app_readwrite", "role_not_allowed"), ("carol", "app_readonly", "no_rule")],
)
def test_refusal_has_its_reason_in_the_server_log(
    psql: Psql, stack: LoginStack, who: str, role: str, reason: str
) -> None:
    before = len(stack.server.log)

    said = psql.run(who, role, WHO)

    assert said.status == 2, said
    assert said.output == ""
    assert f'OAuth bearer authentication failed for user "{role}"' in said.errors
    assert reason not in said.errors
    assert f"OAuth login refused: {reason}" in stack.server.log[before:]


def test_refused_consent_is_no_login(psql: Psql, stack: LoginStack) -> None:
    before = len(stack.server.log)

    said = psql.run("alice", "app_readonly", WHO, answer=deny)

    assert said.status == 2, said
    assert "access_denied" in said.errors
    assert "OAuth login" not in stack.server.log[before:]


def test_without_tls_nobody_is_asked_for_anything(psql: Psql) -> None:
    said = psql.run("alice", "app_readonly", WHO, sslmode="disable")

    assert said.status == 2, said
    assert "no encryption" in said.errors
    assert not said.was_asked


def test_no_token_in_anything_said_or_logged(psql: Psql, stack: LoginStack) -> None:
    said = psql.run("alice", "app_readonly", WHO)

    assert said.status == 0, said
    assert not A_TOKEN.search(said.output + said.errors)
    assert "token_ref" in stack.logs()
    assert not A_TOKEN.search(stack.logs())
