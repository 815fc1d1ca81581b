"""People and pods log in where overlays/service is applied: the service in a pod of its own, asked over TLS.

Operator, cert-manager and Keycloak are the real ones.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from tests.e2e.fix_cnpg_accounts import AUDIENCE, Accounts
from tests.e2e.fix_cnpg_login import NAMESPACE, Databases, service_pod
from tests.e2e.reader import Page, Reader
from tests.klite.cluster import ISSUER
from tests.klite.network import Network
from tests.parts.device_psql import A_TOKEN
from tests.parts.needs import CURL, IPROUTE

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


@pytest.mark.story("certificates", "refused", on="operator")
def test_an_instance_that_is_taken_out_of_servers_is_refused(outside: Databases) -> None:
    with outside.policy(lambda text: text.replace("certificate: pg.databases.svc", "certificate: other.databases.svc")):
        said = outside.log_in("alice", "app_readonly", WHO)
    assert (said.status, said.output) == (2, "")
    outside.await_log("OAuth login refused: caller_refused")
    outside.await_log("Endpoint tcp://pgbearer.databases.svc:8443 (127.0.0.1) does not know this server.")
    assert "its certificate (pg.databases.svc) is of no server under servers:" in outside.decider.log()


# what pages say of a service in pods of its own

AWAY, DOWN, KEYS, EXPLAIN = (
    Page(name)
    for name in ("runbooks/service-down.md", "runbooks/keycloak-down.md", "runbooks/keycloak-keys.md", "explain.md")
)


@pytest.fixture(scope="module")
def reader(need: Callable[..., None], outside: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """With their folder as it was applied."""
    need(IPROUTE)
    cluster, folder = outside.stage.cluster, tmp_path_factory.mktemp("reader")
    (folder / "databases").mkdir()
    policy = cluster.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/pgbearer")["data"]["pgbearer.yaml"]
    (folder / "databases/pgbearer.yaml").write_text(policy)
    api = urlsplit(cluster.url).port
    assert api is not None
    with Network.start(tmp_path_factory.mktemp("network"), [api]) as network:
        yield Reader(folder, cluster.kubeconfig, network.join())


def test_there_is_nothing_to_mend(outside: Databases, reader: Reader) -> None:
    assert "nothing to mend" in reader.run(AWAY.command("pgbearer cnpg status $cluster"))
    assert "nothing to mend" in reader.run("kubectl pgbearer status pg -n databases")
    _, look = AWAY.blocks()
    said = reader.run(look)
    assert outside.pod.name in said
    assert "serving logins" in said


def test_the_service_says_how_it_is(reader: Reader, need: Callable[..., None]) -> None:
    need(CURL)
    with reader.beside(DOWN.command("port-forward", "deploy/"), "Forwarding from 127.0.0.1:8080"):
        assert json.loads(reader.run(DOWN.command("curl")))["ready"] is True


def test_a_decision_is_explained_from_the_logs_of_all_pods(outside: Databases, reader: Reader) -> None:
    outside.log_in("carol", "app_readonly", WHO)
    decided = outside.decisions()[-1]["decision_id"]
    (ask,) = (each for each in EXPLAIN.blocks() if "logs -l" in each)
    assert "no_rule" in reader.run(ask.replace("1f0a7c5b3d2e49f88a61", decided))
    _, block = KEYS.blocks()
    assert "(0 rows)" in reader.run(block)
    assert decided in reader.run(block.replace("key_unknown", "no_rule"))


# service accounts, by the overlay kubernetes-workloads


def test_a_service_account_logs_in_as_the_role_of_its_rule(accounts: Accounts) -> None:
    """By a token that the API server mints, whose keys the service has from there, with rights of its own account."""
    with accounts.log_in(accounts.token()) as connection:
        found = connection.execute("SELECT session_user::text, system_user").fetchone()
    account = accounts.databases.stage.cluster.get("/api/v1/namespaces/shop/serviceaccounts/orders")
    assert found == ("orders", f"oauth:cluster:shop:orders:{account['metadata']['uid']}")
    decided = accounts.databases.decisions()[-1]
    assert (decided["decision"], decided["rules"], decided["server"]) == ("allow", ["orders of shop"], "pg")
    assert decided["display"] == "system:serviceaccount:shop:orders"


def test_an_account_without_a_rule_is_refused(accounts: Accounts) -> None:
    """Another rule is for its issuer and this database; that its condition fails is not looked at for another role."""
    assert accounts.refusal(accounts.token("billing")) == "role_not_allowed"
    assert accounts.databases.decisions()[-1]["display"] == "system:serviceaccount:shop:billing"


def test_a_token_for_the_api_server_is_refused(accounts: Accounts) -> None:
    assert accounts.refusal(accounts.token(audience=ISSUER)) == "audience_mismatch"


def test_a_service_account_does_not_come_in_by_the_line_for_people(accounts: Accounts) -> None:
    said = accounts.refusal(accounts.token(), "app_readonly", accounts.databases.site.issuer)
    assert said == "issuer_mismatch"


def test_people_log_in_as_before(accounts: Accounts) -> None:
    assert accounts.databases.log_in("alice", "app_readonly", WHO).status == 0


def test_the_token_of_a_pod_that_is_gone_is_refused(accounts: Accounts) -> None:
    """Its signature and its end are good for minutes yet; the account's right to ask is the overlay's."""
    pod, cluster = accounts.application(), accounts.databases.stage.cluster
    alive, never_seen = (cluster.token("shop", "orders", AUDIENCE, pod=pod) for _ in range(2))
    accounts.log_in(alive).close()
    cluster.delete(f"/api/v1/namespaces/shop/pods/{pod['metadata']['name']}")
    assert accounts.refusal(never_seen) == "token_inactive"


def test_an_application_that_knows_nothing_of_tokens_is_in_by_the_proxy_beside_it(accounts: Accounts) -> None:
    """The application connects by PGHOST, as the overlay's pod has it, or by a plain connection string."""
    name = accounts.application()["metadata"]["name"]
    pod = accounts.databases.stage.kubelet.run("shop", name)
    try:
        app = pod.running["app"]
        said = app.execute("psql", "-XAtc", WHO)
        assert re.fullmatch(r"orders\|orders\|oauth:cluster:shop:orders:[0-9a-f-]{36}\n", said), said
        plain = "host=/run/database/proxy/appdb user=orders dbname=appdb"
        assert app.execute("psql", "-XAtc", "SELECT current_user", plain) == "orders\n"
        assert accounts.databases.decisions()[-1]["rules"] == ["orders of shop"]
        with pytest.raises(subprocess.CalledProcessError):
            app.execute("cat", "/var/run/secrets/tokens/pgbearer")
        assert not A_TOKEN.search(pod.logs())
    finally:
        pod.stop()
