"""Workloads log in with JWT-SVIDs of real SPIRE to an instance that the real operator made of overlays/spire."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

import pgbearer.client
from pgbearer.client import StaticSource
from tests.cnpg.manifests import Json, Rendered
from tests.cnpg.own import Site, own
from tests.e2e.fix_cnpg_login import NAMESPACE, Databases, running_service
from tests.e2e.fix_operator import OperatorStage
from tests.e2e.fix_spire import ISS, ORDERS, Domains
from tests.klite.spire import SpireError, TrustDomain
from tests.parts.processes import wait_until

pytestmark = pytest.mark.timeout(400)  # the operator and Keycloak may have to be started first

AUDIENCE = "db:pg"
SERVICE, REPORTS = f"/ns/{NAMESPACE}/sa/pgbearer", "/ns/reports/sa/nightly"
"""As the ClusterSPIFFEIDs make them of a pod's namespace and account."""
DRIVER = "csi.spiffe.io"


@dataclass
class Meshed:
    """The databases, the trust domain that their service is in, and another one."""

    databases: Databases
    manifests: Rendered
    prod: TrustDomain
    partner: TrustDomain

    def login(self, svid: str, role: str) -> psycopg.Connection[Any]:
        """Log in as a program would, over TLS with the server verified."""
        return pgbearer.client.connect(self.databases.conninfo(role), source=StaticSource(svid), issuer=ISS)

    def refusal(self, svid: str, role: str) -> str:
        """Log in, which must be refused: the reason, which is in the audit and in PostgreSQL's log."""
        with pytest.raises(psycopg.OperationalError, match="OAuth bearer authentication failed"):
            self.login(svid, role).close()
        decided = self.databases.decisions()[-1]
        assert decided["decision"] == "deny"
        self.databases.await_log(f"Decision {decided['decision_id']}")
        self.databases.await_log(f"OAuth login refused: {decided['reason']}")
        return str(decided["reason"])

    def federate(self) -> None:
        """What SPIRE's controller does of components/spire-federation; the bundle is handed over, not fetched."""
        (known,) = self.manifests.of("ClusterFederatedTrustDomain")
        assert known["spec"]["trustDomain"] == self.partner.name
        self.prod.federate(self.partner)
        entry: Json = self.manifests.one("ClusterSPIFFEID", "pgbearer-partner")["spec"]
        assert entry["spiffeIDTemplate"].endswith("/sa/{{ .PodSpec.ServiceAccountName }}/partner")
        uid = uid_of_the_service(self.manifests)
        self.prod.register(f"{SERVICE}/partner", uid=uid, federates_with=entry["federatesWith"])


@pytest.fixture(scope="module")
def meshed(
    operator_stage: OperatorStage, site: Site, domains: Domains, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Meshed]:
    """The service is registered as components/spire alone says: its trust domain knows of no other."""
    folder = tmp_path_factory.mktemp("own")
    manifests = own(folder, site, ["overlays/spire"], policy="components/spire/policy/pgbearer.yaml")
    with ExitStack() as stack:
        (domains.folder / "pg").mkdir()
        started = TrustDomain.start(domains.folder / "pg", domains.authority, "prod.example", jwt_issuer=ISS)
        prod = stack.enter_context(started)
        prod.register(SERVICE, uid=uid_of_the_service(manifests))
        prod.register(ORDERS)
        domains.partner.register(REPORTS)
        drivers = operator_stage.kubelet.drivers
        drivers[DRIVER] = prod.workload_api.parent
        stack.callback(drivers.pop, DRIVER)
        databases = stack.enter_context(running_service(operator_stage, site, manifests))
        yield Meshed(databases, manifests, prod, domains.partner)


def uid_of_the_service(manifests: Rendered) -> int:
    """By which the agent knows it here, where no kubelet tells of pods."""
    pod = manifests.one("Deployment", "pgbearer")["spec"]["template"]["spec"]
    return int(pod["securityContext"]["runAsUser"])


def test_a_workload_logs_in_as_its_mapped_role(meshed: Meshed) -> None:
    with meshed.login(meshed.prod.svid(ORDERS, AUDIENCE), "orders") as connection:
        said = connection.execute("SELECT session_user, current_user, system_user").fetchone()
    assert said == ("orders", "orders", f"oauth:spiffe://prod.example{ORDERS}")
    decided = meshed.databases.decisions()[-1]
    assert (decided["decision"], decided["server"], decided["rules"]) == ("allow", "pg", ["orders of shop"])


def test_it_gets_no_other_role(meshed: Meshed) -> None:
    assert meshed.refusal(meshed.prod.svid(ORDERS, AUDIENCE), "partner_reports") == "role_not_allowed"


def test_an_svid_for_another_database_is_refused(meshed: Meshed) -> None:
    assert meshed.refusal(meshed.prod.svid(ORDERS, "db:shop"), "orders") == "audience_mismatch"


def test_spire_refuses_a_registration_with_a_domain_that_it_does_not_know(meshed: Meshed) -> None:
    """Which is why the service has an entry of its own for that, in components/spire-federation; the first stays."""
    with pytest.raises(SpireError, match="unable to find federated bundle"):
        meshed.prod.register("/ns/databases/sa/other", uid=1, federates_with=["nobody.example"])


def test_a_second_domain_gets_in_only_once_it_is_federated(meshed: Meshed) -> None:
    """Nothing is restarted, and the policy is the same: it has had the issuer and its rule from the beginning."""
    svid = meshed.partner.svid(REPORTS, AUDIENCE)
    assert meshed.refusal(svid, "partner_reports") == "keys_unavailable"
    meshed.federate()
    log = meshed.databases.decider.log
    wait_until(lambda: "keys of issuer partner: 1 to verify with" in log(), 60, "the service to have the keys")
    with meshed.login(svid, "partner_reports") as connection:
        said = connection.execute("SELECT session_user, system_user").fetchone()
    assert said == ("partner_reports", f"oauth:spiffe://partner.example{REPORTS}")
    assert meshed.refusal(svid, "orders") == "role_not_allowed"
