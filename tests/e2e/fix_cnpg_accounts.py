"""The overlay kubernetes-workloads applied over the stage ``outside``: service accounts log in, and a pod does."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests import oauth_token
from tests.cnpg.manifests import Json
from tests.cnpg.own import own
from tests.e2e.fix_cnpg_login import Databases, service_pod
from tests.klite.cluster import IN_PODS, ISSUER
from tests.parts.debian import CLIENT, DebianRoot
from tests.parts.processes import wait_until

__all__ = ["AUDIENCE", "Accounts", "accounts"]

SHOP: Final = "shop"
AUDIENCE: Final = "db:pg"
"""As the overlay has it, for the API server gives tokens for whatever is asked."""
_APPLICATION: Final = "registry.example/orders:1.0.0"
_SECONDS: Final = 120.0
_NOTHING: Final = ["sh", "-c", "trap exit TERM; sleep infinity & wait"]
"""Which ends when it is told to; the first process of a container heeds no signal that it has no trap for."""
_IDLE: Final = [{"op": "add", "path": "/spec/template/spec/containers/0/command", "value": _NOTHING}]


@dataclass
class Accounts:
    """The databases, and the namespace of the overlay's application."""

    databases: Databases

    def token(self, account: str = "orders", audience: str = AUDIENCE) -> str:
        """What ``kubectl create token`` says."""
        words = ["-n", SHOP, "create", "token", account, f"--audience={audience}", "--duration=10m"]
        return self.databases.stage.cluster.kubectl(*words).strip()

    def log_in(self, token: str, role: str = "orders", issuer: str = ISSUER) -> psycopg.Connection[Any]:
        """Log in with a token at hand, by libpq itself, which sends it to whom it is told; `issuer` is the line's."""
        where: dict[str, Any] = conninfo_to_dict(self.databases.conninfo(role))
        return oauth_token.connect(token, issuer=issuer, **where)

    def refusal(self, token: str, role: str = "orders", issuer: str = ISSUER) -> str:
        """Log in, which must be refused: the reason, on which PostgreSQL's log and the audit must agree."""
        before = len(self.databases.log())
        with pytest.raises(psycopg.OperationalError, match="OAuth bearer authentication failed"):
            self.log_in(token, role, issuer).close()
        decided = self.databases.decisions()[-1]
        self.databases.await_log(f"Decision {decided['decision_id']}")
        said = re.findall(r"OAuth login refused: (\w+)", self.databases.log()[before:])
        assert said == [decided["reason"]]
        assert decided["decision"] == "deny"
        return str(decided["reason"])

    def application(self) -> Json:
        """A pod that the Deployment ``orders`` has made."""
        cluster = self.databases.stage.cluster

        def made() -> list[Json]:
            path = f"/api/v1/namespaces/{SHOP}/pods?labelSelector=app.kubernetes.io/name%3Dorders"
            return [each for each in cluster.get(path)["items"] if "deletionTimestamp" not in each["metadata"]]

        wait_until(lambda: bool(made()), _SECONDS, "a pod of the application", pause=0.3)
        return made()[0]


@pytest.fixture(scope="module")
def accounts(outside: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    """The overlay, applied over what `outside` has; its application does nothing by itself, and has psql."""
    stage = outside.stage
    kubectl = stage.cluster.kubectl
    here = f"https://{IN_PODS}:{urlsplit(stage.cluster.url).port}"
    manifests = own(
        tmp_path_factory.mktemp("own"),
        outside.site,
        ["overlays/kubernetes-workloads"],
        policy="components/kubernetes-workloads/policy/pgbearer.yaml",
        edit=lambda text: text.replace(f"api_server: https://{IN_PODS}\n", f"api_server: {here}\n"),
        patches=[{"target": {"kind": "Deployment", "name": "orders"}, "patch": json.dumps(_IDLE)}],
        namespace=None,
    )
    stage.kubelet.images.register(_APPLICATION, DebianRoot.of(CLIENT).path)
    before = outside.pod.name
    outside.pod.stop()  # the next one has its ports
    kubectl("apply", "-f", "-", stdin=manifests.text)
    try:
        _give_authority(outside)
        outside.pod = service_pod(stage, before=before)
        wait_until(lambda: _in_force(outside), _SECONDS, "the operator to make the roles, and the lines")
        yield Accounts(outside)
    finally:
        kept = ("Cluster", "Namespace", "ServiceAccount")  # which others have too, or delete themselves
        gone = [dict(each) for each in manifests.objects if each["kind"] not in kept]
        gone.append(_authority(""))
        items = json.dumps({"apiVersion": "v1", "kind": "List", "items": gone})
        kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=items)
        bare = f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {SHOP}}}}}"  # admits any pod again
        kubectl("apply", "-f", "-", stdin=bare)


def _give_authority(databases: Databases) -> None:
    """As docs/cloudnativepg.md says, in the place that application.yaml says."""
    file = json.dumps(_authority(databases.ca_file.read_text()))
    databases.stage.cluster.kubectl("apply", "-f", "-", stdin=file)


def _authority(text: str) -> dict[str, Any]:
    metadata = {"name": "pg-ca", "namespace": SHOP}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": text}}


def _in_force(databases: Databases) -> bool:
    """A server that has the newest parameter has read the newest lines: it reads both at once."""
    status = databases.instance.status().get("managedRolesStatus", {}).get("byStatus", {})
    forbidden = databases.instance.query("SHOW pgbearer.forbid_passwords")
    return "orders" in status.get("reconciled", ()) and forbidden.endswith("+pgbearer_workloads")
