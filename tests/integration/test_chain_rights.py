"""What no login gets, whatever else is right about it: privilege by another name, another's token, another's socket."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.integration.fix_chain import Chain, whole_chain
from tests.parts.authority import Authority
from tests.parts.needs import ROOT
from tests.parts.postgres import Installation, server_uid

ROLES = (
    "CREATE ROLE quiet SUPERUSER",
    "CREATE ROLE sneaky LOGIN SUPERUSER",
    "CREATE ROLE heir LOGIN IN ROLE quiet",
    "CREATE ROLE tools IN ROLE pg_execute_server_program",
    "CREATE ROLE operator LOGIN IN ROLE tools",
    "CREATE ROLE walsender LOGIN REPLICATION",
    "CREATE ROLE replicator LOGIN REPLICATION",
    "CREATE ROLE retired NOLOGIN",
    "REVOKE CONNECT ON DATABASE appdb FROM PUBLIC",
    "GRANT CONNECT ON DATABASE appdb TO app_readonly, sneaky, heir, operator, walsender, replicator",
)
ANY_ROLE = {"name": "readers", "any_role": ["db-read"], "databases": ["*"], "roles": ["*"]}


@pytest.fixture(scope="module")
def generous(postgres: Installation, issuer_authority: Authority) -> Iterator[Chain]:
    """A chain with a rule for every role, and an HBA line for the physical replication of one role only."""
    with whole_chain(
        postgres,
        issuer_authority,
        settings={"wal_level": "logical"},
        hba=["local replication walsender ISSUER"],
        rules=[ANY_ROLE],
    ) as running:
        for statement in ROLES:
            running.server.sql(statement)
        yield running


def test_the_rule_is_generous(generous: Chain) -> None:
    with generous.login() as connection:
        (system_user, current_user) = connection.execute("SELECT system_user, current_user").fetchone() or ()
    assert system_user == f"oauth:demo:{generous.issuer.claims()['sub']}"
    assert current_user == "app_readonly"


# privilege by another name


@pytest.mark.parametrize("role", ["sneaky", "heir", "operator"])
def test_a_privileged_role_is_known_by_what_it_can_do(generous: Chain, role: str) -> None:
    assert generous.refusal(role) == "role_privileged"


@pytest.mark.parametrize("role", ["walsender", "replicator"])
def test_logical_replication_passes_the_line_for_all_and_is_refused(generous: Chain, role: str) -> None:
    assert generous.refusal(role, replication="database") == "replication_not_allowed"


def test_physical_replication_with_a_line_of_its_own_is_refused(generous: Chain) -> None:
    assert generous.refusal("walsender", replication="true") == "replication_not_allowed"


def test_physical_replication_has_no_part_in_the_line_for_all(generous: Chain) -> None:
    decided = len(generous.service.decisions())
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry for replication connection"):
        generous.login("replicator", replication="true")
    assert len(generous.service.decisions()) == decided


# PostgreSQL's own no stays a no


@pytest.mark.parametrize(
    ("role", "said"),
    [("retired", 'role "retired" is not permitted to log in'), ("app_readwrite", "permission denied for database")],
)
def test_allowed_by_a_rule_is_not_allowed_by_the_database(generous: Chain, role: str, said: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=said):
        generous.login(role)
    assert generous.service.decisions()[-1]["decision"] == "allow"


# somebody else's token


@pytest.mark.parametrize("audience", ["db:other", ["db:demo", "db:other"], ["db:other", "account"], []])
def test_a_token_for_another_cluster_is_of_no_use_here(generous: Chain, audience: object) -> None:
    assert generous.refusal(token=generous.issuer.token(aud=audience)) == "audience_mismatch"


def test_one_clusters_token_is_replayed_at_another(postgres: Installation, issuer_authority: Authority) -> None:
    """The same issuer, client and person: the audience alone is different."""
    with whole_chain(postgres, issuer_authority) as other:
        token = other.issuer.token()
        with other.login(token=token):
            pass
        demo = other.service.settings["issuers"]["demo"] | {"audience": "db:prod"}
        other.service.change(issuers={"demo": demo})
        other.service.await_line("reloaded")
        assert other.refusal(token=token) == "audience_mismatch"


# somebody else's socket


def test_a_server_that_is_none_of_the_servers_is_told_nothing(
    postgres: Installation, issuer_authority: Authority
) -> None:
    with whole_chain(postgres, issuer_authority) as stranger:
        local = stranger.service.settings["servers"]["local"]
        stranger.service.change(servers={"local": local | {"uid": server_uid() + 1}})
        stranger.service.await_line("reloaded")
        assert stranger.refusal() == "caller_unknown"
        assert stranger.refusal("app_readwrite") == "caller_unknown"
        record = stranger.service.decisions()[-1]
        assert (record["server"], record["verified"], record["identity"]) == (None, False, None)


@pytest.mark.parametrize("place", ["login", "admin"])
def test_the_kernel_keeps_other_users_from_the_sockets(generous: Chain, place: str, need: Callable[..., None]) -> None:
    need(ROOT)
    path = generous.service.login_socket if place == "login" else generous.service.admin_socket
    code = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    uid = server_uid() - 1
    done = run_as(uid, code, str(path))
    assert "PermissionError" in done


def run_as(uid: int, code: str, *arguments: str) -> str:
    """What Python prints to standard error when it runs `code` as `uid`."""
    command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--", sys.executable, "-c", code]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    return done.stderr
