"""People log in to an instance that the real operator made of overlays/sidecar, or are refused, and why."""

import base64
import re
import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.cnpg.manifests import CNPG
from tests.e2e.fix_cnpg_login import NAMESPACE, Databases, Desk
from tests.parts.device_psql import A_TOKEN
from tests.parts.processes import wait_until

pytestmark = pytest.mark.timeout(400)  # the operator and Keycloak may have to be started first

WHO = "SELECT session_user, current_user, system_user"
ALICE = r"oauth:corp:[0-9a-f-]{36}"
NO_PASSWORDS = "SELECT count(*) FROM pg_authid WHERE rolpassword IS NOT NULL AND rolname NOT IN ('app')"


def test_a_reader_logs_in_with_psql(sidecar: Databases) -> None:
    said = sidecar.log_in("alice", "app_readonly", WHO)
    assert said.status == 0, said
    assert re.fullmatch(rf"app_readonly\|app_readonly\|{ALICE}", said.output), said
    decided = sidecar.decisions()[-1]
    assert (decided["decision"], decided["server"], decided["display"]) == ("allow", "pg", "alice")


def test_a_writer_writes_and_a_reader_does_not(sidecar: Databases) -> None:
    sidecar.instance.run("psql", "-XAtq", "-d", "appdb", "-c", "CREATE TABLE IF NOT EXISTS notes (note text)")
    write = "INSERT INTO notes VALUES ('by a writer') RETURNING note"
    assert sidecar.log_in("bob", "app_readwrite", write).output == "by a writer"
    said = sidecar.log_in("bob", "app_readonly", write)
    assert (said.status, said.output) == (1, "")
    assert "permission denied" in said.errors


def test_a_migrator_makes_what_the_databases_owner_has(sidecar: Databases) -> None:
    """The run's realm has no role for it alone, so the writers of this policy may."""
    change = "CREATE TABLE orders (id int); ALTER TABLE orders ADD paid bool"
    with sidecar.policy(lambda text: text.replace("any_role: [app_migrator]", "any_role: [app_readwrite]")):
        said = sidecar.log_in("bob", "app_migrator", change, options="-crole=app")
        assert said.status == 0, said
        ends = datetime.fromisoformat(sidecar.decisions()[-1]["ends_at"])
        assert 600 < ends.timestamp() - time.time() <= 3_600  # a token lasts 300 s
        further = sidecar.log_in("bob", "app_migrator", "SET ROLE postgres", options="-crole=app")
    assert "permission denied to set role" in further.errors
    owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'orders'"
    assert sidecar.instance.run("psql", "-XAtq", "-d", "appdb", "-c", owner) == "app\n"
    assert sidecar.log_in("alice", "app_readonly", "SELECT count(*) FROM orders").output == "0"


@pytest.mark.parametrize(
    ("who", "role", "reason"),
    [
        ("carol", "app_readonly", "no_rule"),
        ("alice", "app_readwrite", "role_not_allowed"),
        ("bob", "app_migrator", "role_not_allowed"),
    ],
)
def test_who_may_not_is_refused_and_the_reason_is_in_both_logs(
    sidecar: Databases, who: str, role: str, reason: str
) -> None:
    said = sidecar.log_in(who, role, WHO)
    assert (said.status, said.output) == (2, "")
    assert f'OAuth bearer authentication failed for user "{role}"' in said.errors
    assert reason not in said.errors
    decided = sidecar.decisions()[-1]
    assert (decided["decision"], decided["reason"], decided["display"]) == ("deny", reason, who)
    sidecar.await_log(f"Decision {decided['decision_id']}")
    assert f"OAuth login refused: {reason}" in sidecar.log()


def test_our_own_commands_ask_once(sidecar: Databases, tmp_path: Path) -> None:
    desk = Desk(sidecar, "alice", tmp_path)
    status, said = desk.run("connect", "--device", "appdb")
    assert status == 0, said
    assert re.search(ALICE, said), said
    status, said = desk.run("psql", "--psql", str(desk.psql), "appdb", "-XAtc", WHO, asked=False)
    assert status == 0, said
    assert re.search(rf"app_readonly\|app_readonly\|{ALICE}", said), said


def test_our_own_command_says_where_to_ask_why(sidecar: Databases, tmp_path: Path) -> None:
    status, said = Desk(sidecar, "carol", tmp_path).run("connect", "--device", "appdb")
    assert status == 1, said
    decided = sidecar.decisions()[-1]
    assert decided["reason"] == "no_rule"
    assert f"pgbearer explain --token-ref {decided['token_ref']}" in re.sub(r"\s+", " ", said)


def test_postgresql_reads_the_lines_as_they_are_meant(sidecar: Databases) -> None:
    """Nobody else reads them: with an error among them it would silently go on with the file before."""
    rows = sidecar.instance.query(
        "SELECT type, array_to_string(user_name, ','), auth_method, coalesce(error, '') FROM pg_hba_file_rules"
    ).splitlines()
    assert [row for row in rows if not row.endswith("|")] == []
    assert rows[-5:] == [
        "hostssl|breakglass|cert|",
        "hostssl|+pgbearer_people|oauth|",
        "host|all|reject|",
        "host|all|reject|",
        "host|all|scram-sha-256|",  # the operator's own, which the one before keeps from being reached
    ]


def test_the_operator_makes_roles_without_passwords(sidecar: Databases) -> None:
    made = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_authid WHERE rolname ~ '^(app_|break|pgb)'"
    assert sidecar.instance.query(made) == "app_migrator app_readonly app_readwrite breakglass pgbearer_people"
    assert sidecar.instance.query(NO_PASSWORDS) == "0"


def test_the_operator_gives_an_instance_the_label_that_the_networkpolicies_know(sidecar: Databases) -> None:
    path = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=cnpg.io/cluster"
    (pod,) = sidecar.stage.cluster.get(path)["items"]
    assert pod["metadata"]["labels"]["pgbearer.example/reached-as"] == "pg"


def test_a_password_is_refused_by_the_module(sidecar: Databases) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        sidecar.instance.query("ALTER ROLE app_readonly PASSWORD 'x'")
    assert 'role "app_readonly" must not have a password' in caught.value.stderr


def test_a_password_that_is_right_opens_nothing(sidecar: Databases) -> None:
    """The operator makes one for the database's owner, and a superuser can give himself one."""
    found = sidecar.stage.cluster.kubectl("-n", NAMESPACE, "get", "secret", "pg-app", "-o", "jsonpath={.data.password}")
    sidecar.instance.query("ALTER ROLE breakglass PASSWORD 'known'")
    try:
        for role, password in (("app", base64.b64decode(found).decode()), ("breakglass", "known")):
            said = sidecar.plain(role, PGPASSWORD=password)
            assert said.returncode == 2, said
            assert "pg_hba.conf rejects connection" in said.stderr or "client certificate" in said.stderr, said
    finally:
        sidecar.instance.query("ALTER ROLE breakglass PASSWORD NULL")


@pytest.mark.parametrize("role", ["app_readonly", "breakglass"])
def test_without_tls_nobody_gets_in(sidecar: Databases, role: str) -> None:
    said = sidecar.plain(role, sslmode="disable")
    assert said.returncode == 2, said
    assert "pg_hba.conf rejects connection" in said.stderr
    assert "no encryption" in said.stderr


def test_replication_is_for_the_operator_alone(sidecar: Databases) -> None:
    said = sidecar.plain("app_readonly", "IDENTIFY_SYSTEM", replication="true")
    assert said.returncode == 2, said
    assert "pg_hba.conf rejects replication connection" in said.stderr


def test_break_glass_needs_a_certificate_and_nothing_else(sidecar: Databases) -> None:
    without = sidecar.plain("breakglass")
    assert without.returncode == 2, without
    assert "valid client certificate" in without.stderr
    sidecar.certificate("breakglass-me", "breakglass")
    before = len(sidecar.decisions())
    said = sidecar.plain("breakglass", f"{WHO}, usesuper FROM pg_user WHERE usename = current_user", "breakglass-me")
    assert said.returncode == 0, said
    assert said.stdout == "breakglass|breakglass|cert:CN=breakglass|t\n"
    assert len(sidecar.decisions()) == before
    assert sidecar.plain("app_readonly", WHO, "breakglass-me").returncode == 2


def test_a_changed_policy_is_in_force_without_a_restart_and_ends_sessions(sidecar: Databases) -> None:
    """The kubelet exchanges ``..data``; a session that may last two seconds is ended by the server."""
    begun = sidecar.instance.query("SELECT pg_postmaster_start_time()")
    with sidecar.policy(lambda text: text.replace("max: 10h", "max: 2s")):
        said = sidecar.log_in("alice", "app_readonly", "SELECT pg_sleep(600)")
    assert said.status == 2, said
    assert "terminating connection due to administrator command" in said.errors
    decided = sidecar.decisions()[-1]
    assert decided["decision"] == "allow"
    left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app_readonly'"
    wait_until(lambda: sidecar.instance.query(left) == "0", 60, "the backend to be gone")
    assert sidecar.instance.query("SELECT pg_postmaster_start_time()") == begun


def test_the_socket_and_the_settings_are_as_closed_as_they_should_be(sidecar: Databases) -> None:
    assert sidecar.decider.execute("stat", "-c", "%a %u:%g", "/shared/login") == "750 26:26\n"
    assert sidecar.instance.run("stat", "-c", "%a %u:%g", "/run/pgbearer/login") == "750 26:26\n"
    with pytest.raises(subprocess.CalledProcessError):
        sidecar.decider.execute("sh", "-c", "echo x > /etc/pgbearer/config/pgbearer.yaml")
    with pytest.raises(subprocess.CalledProcessError):
        sidecar.instance.run("stat", "/run/pgbearer/admin")


def test_no_token_in_any_log(sidecar: Databases) -> None:
    said = sidecar.log_in("alice", "app_readonly", WHO)
    assert "token_ref" in sidecar.decider.log()
    assert not A_TOKEN.search(sidecar.decider.log() + sidecar.log() + said.output + said.errors)


def test_what_runs_is_what_is_shipped(sidecar: Databases) -> None:
    """But for the issuer, its audience, and how many there are."""
    shipped = (CNPG / "components/sidecar/policy/pgbearer.yaml").read_text().splitlines()
    ours = sidecar.decider.execute("cat", "/etc/pgbearer/config/pgbearer.yaml").splitlines()
    assert [line for line in ours if line not in shipped] == [
        f"    issuer: {sidecar.site.issuer}",
        "    ca_file: /etc/pgbearer/config/issuer-ca.crt",
        *[line.replace("db:pg", "db:demo") for line in shipped if "db:pg" in line],
    ]
