"""People log in to an instance that the real operator made, and that asks the service in a pod of its own over TLS."""

import re

import pytest

from tests.e2e.fix_cnpg_login import NAMESPACE, Databases, service_pod

pytestmark = pytest.mark.timeout(400)  # the operator and Keycloak may have to be started first

WHO = "SELECT session_user, current_user, system_user"


def test_a_reader_logs_in_and_the_instance_is_known_by_its_certificate(outside: Databases) -> None:
    said = outside.log_in("alice", "app_readonly", WHO)
    assert said.status == 0, said
    assert re.fullmatch(r"app_readonly\|app_readonly\|oauth:corp:[0-9a-f-]{36}", said.output), said
    decided = outside.decisions()[-1]
    assert (decided["decision"], decided["server"], decided["peer_uid"]) == ("allow", "pg", None)
    assert decided["peer_certificate"] == "pg.databases.svc"


def test_who_may_not_is_refused_and_the_reason_is_in_both_logs(outside: Databases) -> None:
    said = outside.log_in("carol", "app_readonly", WHO)
    assert (said.status, said.output) == (2, "")
    decided = outside.decisions()[-1]
    assert (decided["decision"], decided["reason"]) == ("deny", "no_rule")
    outside.await_log(f"Decision {decided['decision_id']}, endpoint tcp://pgbearer.databases.svc:8443")


def test_a_pod_that_is_replaced_between_two_logins_is_not_noticed(outside: Databases) -> None:
    outside.pod.stop()
    name = outside.pod.name
    outside.stage.cluster.kubectl("-n", NAMESPACE, "delete", "pod", name, "--grace-period=0", "--force")
    outside.pod = service_pod(outside.stage, before=name)
    assert outside.log_in("alice", "app_readonly", WHO).status == 0
    assert outside.decisions()[-1]["decision"] == "allow"


def test_an_instance_that_is_taken_out_of_servers_is_refused(outside: Databases) -> None:
    with outside.policy(lambda text: text.replace("certificate: pg.databases.svc", "certificate: other.databases.svc")):
        said = outside.log_in("alice", "app_readonly", WHO)
    assert (said.status, said.output) == (2, "")
    outside.await_log("OAuth login refused: caller_refused")
    outside.await_log("Endpoint tcp://pgbearer.databases.svc:8443 (127.0.0.1) does not know this server.")
    assert "its certificate (pg.databases.svc) is of no server under servers:" in outside.decider.log()
