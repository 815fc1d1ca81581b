"""A Cluster in which the runbooks are followed: run by the real operator, each pod at an address of its own.

It begins as many do, with passwords and without pgbearer. Each fixture takes it one step further, for all tests after.
"""

import base64
import copy
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml
from psycopg.conninfo import make_conninfo

from tests import oauth_token
from tests.cnpg.manifests import CNPG, Json
from tests.cnpg.own import Site, own
from tests.e2e.fix_keycloak import IssuedToken, issue
from tests.e2e.fix_operator import OperatorStage
from tests.e2e.reader import Reader
from tests.klite import our_images
from tests.klite.fleet import Fleet
from tests.klite.network import Network
from tests.klite.node import Node
from tests.klite.pods import Kubelet
from tests.parts.authority import Authority
from tests.parts.keycloak import Keycloak
from tests.parts.needs import IPROUTE
from tests.parts.processes import wait_until

__all__ = [
    "Connection",
    "Runbooks",
    "await_roles",
    "beside",
    "beside_passwords",
    "closed",
    "pair",
    "passwords",
    "runbooks",
    "two",
    "with_password",
]

_NAMESPACE: Final = "databases"
_SECONDS: Final = 30.0
_PASSWORDS: Final = {"app_readonly": "of-the-reader", "app_readwrite": "of-the-writer"}
_ROLES: Final = """
    SELECT json_object_agg(rolname, json_build_array(rolpassword IS NOT NULL, ARRAY(
      SELECT roleid::regrole::text FROM pg_auth_members WHERE member = pg_authid.oid ORDER BY 1))) FROM pg_authid
"""
"""Each role, with whether it has a password, and whose member it is."""
Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass
class Runbooks:
    """The Cluster ``pg``, and what who follows a runbook has at hand."""

    stage: OperatorStage
    keycloak: Keycloak
    network: Network
    kubelet: Kubelet
    reader: Reader
    shipped: tuple[Json, ...] = field(repr=False)
    """overlays/sidecar, with the run's Keycloak and one instance."""
    _fleet: Fleet | None = None

    @property
    def fleet(self) -> Fleet:
        """Its pods."""
        assert self._fleet is not None
        return self._fleet

    def apply(
        self,
        change: Callable[[dict[str, Any]], object] = lambda cluster: None,
        *,
        policy: Callable[[str], str] = lambda text: text,
    ) -> None:
        """Apply the shipped manifests, with a change of the Cluster's, and one of the policy's."""
        objects = copy.deepcopy([dict(each) for each in self.shipped])
        for each in objects:
            if each["kind"] == "Cluster":
                change(each)
            if each["kind"] == "ConfigMap":
                each["data"]["pgbearer.yaml"] = policy(each["data"]["pgbearer.yaml"])
        self.stage.cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def refresh(self) -> None:
        """Let the pods see a changed policy, as they do within a minute or so."""
        for pod in self.fleet.running.values():
            pod.refresh()

    def token(self) -> IssuedToken:
        """A fresh token of Alice's from Keycloak."""
        return issue(self.keycloak)

    def where(self, role: str, cluster: str = "pg", fleet: Fleet | None = None) -> dict[str, str]:
        """How `role` connects to the primary, the server verified by the Cluster's own authority."""
        ca_file = self.reader.folder / f"{cluster}-authority.crt"
        if not ca_file.exists():
            ca_file.write_bytes(self.secret(f"{cluster}-ca")["ca.crt"])
        there = fleet or self.fleet
        address = there.running[there.primary].address
        checked = {"sslmode": "verify-full", "sslrootcert": str(ca_file)}
        return {
            "host": f"{cluster}-rw.{_NAMESPACE}.svc",
            "hostaddr": address,
            "dbname": "appdb",
            "user": role,
            **checked,
        }

    def log_in(self, token: IssuedToken, role: str = "app_readonly", **where: Any) -> Connection:
        """A connection by a token.

        Raises:
            psycopg.OperationalError: refused.
        """
        return oauth_token.connect(token.compact, issuer=self.keycloak.issuer(), **self.where(role, **where))

    def refusal(self, token: IssuedToken, role: str = "app_readonly") -> str:
        """Log in, which must be refused: the reason in PostgreSQL's log."""
        container = self.fleet.container(self.fleet.primary)
        before = len(container.log())
        with pytest.raises(psycopg.OperationalError, match="OAuth bearer authentication failed"):
            self.log_in(token, role)
        wait_until(
            lambda: "OAuth login refused" in container.log()[before:], _SECONDS, "the instance manager to print it"
        )
        (reason,) = re.findall(r"OAuth login refused: (\w+)", container.log()[before:])
        return str(reason)

    def by_password(self, role: str, **more: str) -> Connection:
        """A connection by the role's password, with more parameters of libpq's.

        Raises:
            psycopg.OperationalError: refused.
        """
        return psycopg.connect(make_conninfo(**self.where(role) | more, password=_PASSWORDS[role]), autocommit=True)

    def secret(self, name: str) -> dict[str, bytes]:
        """The content of a Secret."""
        found = self.stage.cluster.get(f"/api/v1/namespaces/{_NAMESPACE}/secrets/{name}")["data"]
        return {key: base64.b64decode(value) for key, value in found.items()}


@pytest.fixture(scope="module")
def runbooks(
    need: Callable[..., None],
    operator_stage: OperatorStage,
    keycloak: Keycloak,
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Runbooks]:
    """The place for it: the images, the network, a namespace; no Cluster yet."""
    need(IPROUTE)
    our_images.register(operator_stage.kubelet.images)
    api, issuer = (urlsplit(each).port for each in (operator_stage.cluster.url, keycloak.url))
    assert api is not None
    assert issuer is not None
    made = own(
        tmp_path_factory.mktemp("own"),
        Site(keycloak.issuer(), authority.ca_file),
        ["overlays/sidecar"],
        policy="components/sidecar/policy/pgbearer.yaml",
    )
    logs = tmp_path_factory.mktemp("network")
    with (
        Network.start(logs, [api, issuer]) as network,
        Node.start(operator_stage.cluster, "pods", tmp_path_factory.mktemp("kubelet") / "node") as node,
        tempfile.TemporaryDirectory(prefix="pgbearer-runbooks-", dir="/tmp") as folder,
    ):
        kubelet = Kubelet(node, operator_stage.kubelet.images, network)
        reader = Reader(Path(folder), operator_stage.cluster.kubeconfig, network.join())
        yield Runbooks(operator_stage, keycloak, network, kubelet, reader, made.objects)
        kept = [dict(each) for each in made.objects if each["kind"] != "Namespace"]
        operator_stage.cluster.kubectl(
            "delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=yaml.safe_dump_all(kept)
        )


@pytest.fixture(scope="module")
def passwords(runbooks: Runbooks) -> Iterator[Runbooks]:
    """One instance, whose two roles log in with passwords."""
    kubectl = runbooks.stage.cluster.kubectl
    kubectl("apply", "-f", CNPG / "base/namespace.yaml")
    kubectl("-n", _NAMESPACE, "delete", "secret", "breakglass-me", "--ignore-not-found")  # of who was here before
    for role, password in _PASSWORDS.items():
        kubectl("-n", _NAMESPACE, "apply", "-f", "-", stdin=json.dumps(_secret(role, password)))
    runbooks.apply(_before)
    with Fleet.start(runbooks.stage.operator, runbooks.kubelet, _NAMESPACE, "pg") as fleet:
        runbooks._fleet = fleet
        await_roles(fleet)
        yield runbooks


@pytest.fixture(scope="module")
def beside(passwords: Runbooks) -> Runbooks:
    """The same, with the module, the service and their line beside the passwords."""
    passwords.apply(beside_passwords)
    fleet = passwords.fleet
    fleet.follow(lambda: all("pgbearer" in pod.running for pod in fleet.running.values()), "the module to come in")
    fleet.await_healthy()
    await_roles(fleet)
    return passwords


@pytest.fixture(scope="module")
def closed(beside: Runbooks) -> Runbooks:
    """As it is shipped: passwords are good for nothing."""
    beside.apply()
    await_roles(beside.fleet)
    beside.fleet.follow(lambda: _last_line(beside.fleet) == "reject", "the last line")
    return beside


@pytest.fixture(scope="module")
def pair(closed: Runbooks) -> Runbooks:
    """As it is shipped, with a second instance."""
    closed.fleet.query(closed.fleet.primary, "CHECKPOINT")  # which a copy would begin with, and take its time for
    closed.apply(two)
    closed.fleet.await_healthy()
    return closed


def await_roles(fleet: Fleet) -> None:
    """Follow until the operator has made the roles what the newest Cluster says.

    The server is asked: the operator may call a role that it has made pending until something else happens.
    """

    def reconciled() -> bool:
        wanted = {
            each["name"]: ["passwordSecret" in each, sorted(each.get("inRoles", ()))]
            for each in fleet.get()["spec"]["managed"]["roles"]
        }
        found: dict[str, Any] = json.loads(fleet.query(fleet.primary, _ROLES))
        return wanted.items() <= found.items()

    fleet.follow(reconciled, "roles to be as they should")


def _last_line(fleet: Fleet) -> str:
    """Of ours, above the operator's own."""
    methods = fleet.query(
        fleet.primary, "SELECT string_agg(auth_method, ' ' ORDER BY rule_number) FROM pg_hba_file_rules"
    )
    return methods.split()[-2]


def _secret(role: str, password: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/basic-auth",
        "metadata": {"name": role.replace("_", "-")},
        "stringData": {"username": role, "password": password},
    }


def two(cluster: dict[str, Any]) -> None:
    """Make it a Cluster of two instances."""
    cluster["spec"]["instances"] = 2


def beside_passwords(cluster: dict[str, Any]) -> None:
    """Step 1 of passwords-to-oauth.md: `reject` for the group alone, no forbid_passwords, and no role in the group."""
    postgresql = cluster["spec"]["postgresql"]
    lines = [line for line in postgresql["pg_hba"] if not line.endswith("reject")]
    postgresql["pg_hba"] = [*lines, "host all +pgbearer_people all reject"]
    del postgresql["parameters"]["pgbearer.forbid_passwords"]
    for role in cluster["spec"]["managed"]["roles"]:
        if role["name"] in _PASSWORDS:
            with_password(role)


def with_password(role: dict[str, Any]) -> None:
    """Make a role of the Cluster's one that logs in with its password."""
    role.pop("disablePassword", None)
    role["passwordSecret"] = {"name": role["name"].replace("_", "-")}
    role["inRoles"] = [each for each in role["inRoles"] if each != "pgbearer_people"]


def _before(cluster: dict[str, Any]) -> None:
    """What the Cluster was before it knew of us."""
    beside_passwords(cluster)
    spec = cluster["spec"]
    cluster["metadata"].pop("annotations")
    spec["postgresql"] = {"pg_hba": []}
    spec["managed"]["roles"] = [each for each in spec["managed"]["roles"] if each["name"] in _PASSWORDS]
