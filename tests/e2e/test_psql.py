"""PostgreSQL's own psql with its own device flow, and nothing of ours on the client, over hostssl."""

import re
from collections.abc import Callable

import pytest

from tests.e2e.fix_keycloak import person
from tests.e2e.fix_stack import LoginStack
from tests.parts.debian import CLIENT, DebianRoot
from tests.parts.device_pages import approve, deny
from tests.parts.device_psql import A_TOKEN, Answer, DevicePsql, Said
from tests.parts.needs import DEBOOTSTRAP, ROOT


class Psql:
    """psql of Debian before the stack's database, with the run's authority in its system store."""

    def __init__(self, root: DebianRoot, stack: LoginStack) -> None:
        self._psql = DevicePsql(root, stack.ca_file)
        self._stack = stack

    def run(self, who: str, role: str, sql: str, *, answer: Answer = approve, sslmode: str = "verify-full") -> Said:
        """Run `sql` as `role`; `who` answers the device pages in the way of `answer`."""
        conninfo = (
            f"host=localhost port={self._stack.server.port} dbname=appdb user={role} "
            f"sslmode={sslmode} require_auth=oauth "
            f"oauth_issuer={self._stack.issuer} oauth_client_id=pgbearer-device"
        )
        store = "/etc/ssl/certs/ca-certificates.crt"
        return self._psql.run(conninfo, sql, person(who), answer=answer, PGSSLROOTCERT=store)


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
