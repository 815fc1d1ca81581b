"""What cnpg/ makes of one instance with the real operator, in front of the run's Keycloak, and how people get in."""

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cnpg.manifests import CNPG, Rendered
from tests.cnpg.own import AUDIENCE, Site, own
from tests.e2e.fix_keycloak import person
from tests.e2e.fix_operator import OperatorStage
from tests.integration.fix_chain import PGBEARER
from tests.klite import our_images, programs
from tests.klite.containers import Container
from tests.klite.instances import Instance
from tests.klite.pods import Pod
from tests.parts.authority import Authority
from tests.parts.debian import CLIENT, INSIDE, DebianRoot
from tests.parts.device_pages import approve
from tests.parts.device_psql import Answer, DevicePsql, Said
from tests.parts.keycloak import Keycloak
from tests.parts.postgres import embedded
from tests.parts.processes import wait_until
from tests.parts.terminal import Terminal

__all__ = [
    "HOST",
    "NAMESPACE",
    "Databases",
    "Desk",
    "certificates_of_ones_own",
    "outside",
    "running_cluster",
    "running_service",
    "service_pod",
    "sidecar",
    "site",
]

NAMESPACE = "databases"
HOST = "pg-rw.databases.svc"
"""What people connect to, and what the Cluster's certificate says."""
_SECONDS = 120.0
_SECRETS: Final[Mapping[str, Callable[[Any], str]]] = {
    "Certificate": lambda spec: str(spec["secretName"]),
    "ExternalSecret": lambda spec: str(spec["target"]["name"]),
}
"""Of which somebody makes a Secret with a certificate, and what it is called."""


@dataclass
class Databases:
    """The Cluster ``pg`` with its one instance, as it was applied, and who decides."""

    stage: OperatorStage
    site: Site
    instance: Instance
    pod: Pod
    """Of who decides."""
    ca_file: Path
    """The Cluster's own authority, as the page says how to get it; in a folder that everybody may enter."""
    root: DebianRoot
    psql: DevicePsql

    @property
    def decider(self) -> Container:
        """The container that decides."""
        return self.pod.running["pgbearer"]

    def conninfo(self, role: str, *, inside: str | None = None, **more: str) -> str:
        """How one connects as `role` with the server verified; `inside` is the folder of `ca_file` in a root."""
        ca_file = self.ca_file if inside is None else Path(inside) / self.ca_file.name
        where = {"host": HOST, "hostaddr": "127.0.0.1", "port": "5432", "dbname": "appdb", "user": role}
        checked = {"sslmode": "verify-full", "sslrootcert": str(ca_file)}
        return " ".join(f"{name}={value}" for name, value in {**where, **checked, **more}.items())

    def log_in(self, who: str, role: str, sql: str, *, answer: Answer = approve, **more: str) -> Said:
        """Run `sql` with psql 18 and its own device flow."""
        flow = {"require_auth": "oauth", "oauth_issuer": self.site.issuer, "oauth_client_id": "pgbearer-device"}
        conninfo = self.conninfo(role, inside=INSIDE, **{**flow, **more})
        return self.psql.run(conninfo, sql, person(who), answer=answer)

    def plain(
        self,
        role: str,
        sql: str = "SELECT 1",
        certificate: str | None = None,
        *,
        sslmode: str = "verify-full",
        **more: str,
    ) -> "subprocess.CompletedProcess[str]":
        """Run `sql` with psql and no token; words in capitals are of its environment.

        Args:
            role: who one would be.
            sql: a statement.
            certificate: what one shows, by the name that `certificate` has made it for.
            sslmode: how.
            more: of the connection string, or of psql's environment.
        """
        shown = {}
        if certificate is not None:
            shown = {"sslcert": f"{INSIDE}/{certificate}.crt", "sslkey": f"{INSIDE}/{certificate}.key"}
        options = {name: value for name, value in more.items() if name.islower()}
        environment = [f"{name}={value}" for name, value in more.items() if name.isupper()]
        conninfo = self.conninfo(role, inside=INSIDE, sslmode=sslmode, **shown, **options)
        command = self.root.command("env", *environment, "psql", "-XAtqw", "-d", conninfo, "-c", sql)
        return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)

    def certificate(self, name: str, role: str) -> None:
        """What ``kubectl cnpg certificate`` makes for `role`, as files beside `ca_file` for psql's user."""
        cluster = self.stage.cluster
        words = ["certificate", name, "--cnpg-cluster", "pg", "--cnpg-user", role]
        command: list[str | Path] = [programs.kubectl_cnpg(), "-n", NAMESPACE, *words]
        environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
        subprocess.run(command, check=True, capture_output=True, env=environment)
        made = cluster.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}")["data"]
        for key, ending in (("tls.crt", "crt"), ("tls.key", "key")):
            file = self.ca_file.with_name(f"{name}.{ending}")
            file.touch(mode=0o600)
            file.write_bytes(base64.b64decode(made[key]))
            shutil.chown(file, "nobody")

    @contextmanager
    def policy(self, edit: Callable[[str], str]) -> Iterator[None]:
        """Until the end of the block, pgbearer.yaml in the ConfigMap is what `edit` makes of it, and is in force."""
        path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/pgbearer"
        usual = self.stage.cluster.get(path)["data"]["pgbearer.yaml"]
        self._apply_policy(edit(usual))
        try:
            yield
        finally:
            self._apply_policy(usual)

    def _apply_policy(self, text: str) -> None:
        before = self.decider.log().count("reloaded ")
        patch = json.dumps({"data": {"pgbearer.yaml": text}})
        self.stage.cluster.kubectl("-n", NAMESPACE, "patch", "configmap", "pgbearer", "--type=merge", "-p", patch)
        self.pod.refresh()
        wait_until(lambda: self.decider.log().count("reloaded ") > before, _SECONDS, "the policy to be read again")

    def decisions(self) -> list[dict[str, Any]]:
        """What the audit has on the decider's standard output."""
        records = [json.loads(line) for line in self.decider.log().splitlines() if line.startswith("{")]
        return [record for record in records if record.get("kind") == "decision"]

    def await_log(self, text: str) -> None:
        """Wait until PostgreSQL has logged `text`: the instance manager prints it a moment later."""
        wait_until(lambda: text in self.log(), _SECONDS, f"{text!r} in the instance's log")

    def log(self) -> str:
        """What PostgreSQL has logged, as far as the instance manager has printed it."""
        return self.instance.pod.running["postgres"].log()


@contextmanager
def running_cluster(
    stage: OperatorStage, site: Site, manifests: Rendered, decider: Callable[[Instance], Pod]
) -> Iterator[Databases]:
    """Apply the manifests and run the instance until the end of the block; then all is deleted but the namespaces.

    Args:
        stage: the operator's.
        site: of whom they are.
        manifests: with the Cluster ``pg``.
        decider: says in which pod somebody decides, as soon as the instance runs.
    """
    kubectl = stage.cluster.kubectl
    our_images.register(stage.kubelet.images)
    with ExitStack() as undo:
        undo.callback(_delete, stage, manifests)
        kubectl("apply", "-f", "-", stdin=manifests.text)
        _await_certificates(stage, manifests)
        instance = undo.enter_context(Instance.start(stage.operator, stage.kubelet, NAMESPACE, "pg"))
        wait_until(lambda: _roles_are_there(instance), _SECONDS, "the operator to make the roles")
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="pgbearer-cnpg-", dir="/tmp")))
        folder.chmod(0o755)
        ca_file = folder / "pg-ca.crt"
        said = kubectl("-n", NAMESPACE, "get", "secret", "pg-ca", "-o", r"jsonpath={.data.ca\.crt}")
        ca_file.write_bytes(base64.b64decode(said))
        (folder / "trust").mkdir()
        root = DebianRoot.of(CLIENT).trusting(site.ca_file, folder / "trust").with_bind(folder, INSIDE)
        psql = DevicePsql(root, site.ca_file)
        yield Databases(stage, site, instance, decider(instance), ca_file, root, psql)


class Desk:
    """Somebody at a terminal with our own commands, and with a client.toml that knows the database as ``appdb``.

    Args:
        databases: where they log in.
        who: of the realm's people.
        folder: empty; their home.
    """

    psql = embedded().bin / "psql"

    def __init__(self, databases: Databases, who: str, folder: Path) -> None:
        self._databases = databases
        self._who = who
        site = databases.site
        file = folder / "client.toml"
        file.write_text(
            f'default = "corp"\n[profiles.corp]\nissuer = "{site.issuer}"\nca_file = "{site.ca_file}"\n'
            f'scope = "openid {AUDIENCE}"\nstore = "file"\n'
            f'[upstreams.appdb]\nconninfo = "{databases.conninfo("app_readonly")}"\n'
        )
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DBUS_", "XDG_"))}
        state = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "PGBEARER_CONFIG_FILE": str(file)}
        self._environment = {**ours, **state, "TERM": "dumb", "PSQL_PAGER": "cat"}

    def run(self, *words: str, asked: bool = True) -> tuple[int, str]:
        """Run ``pgbearer`` and log in if it asks, which it must unless it must not: its exit code and what it said."""
        with Terminal([PGBEARER, *words], self._environment) as terminal:
            if asked:
                said = terminal.until("The code is good")
                (url,), (code,) = re.findall(r"https://\S+", said), re.findall(r"code: (\S+)", said)
                approve(url, person(self._who), ca_file=self._databases.site.ca_file, user_code=code)
            status = terminal.ends()
        return status, terminal.said


@pytest.fixture(scope="module")
def site(keycloak: Keycloak, authority: Authority) -> Site:
    """The run's Keycloak."""
    return Site(keycloak.issuer(), authority.ca_file)


@pytest.fixture(scope="module")
def sidecar(operator_stage: OperatorStage, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """The overlay ``sidecar``: the service in the instance's own pod."""
    manifests = own(
        tmp_path_factory.mktemp("own"), site, ["overlays/sidecar"], policy="components/sidecar/policy/pgbearer.yaml"
    )
    with running_cluster(operator_stage, site, manifests, lambda instance: instance.pod) as running:
        yield running


@pytest.fixture(scope="module")
def outside(operator_stage: OperatorStage, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """The overlay ``service``: the service in a pod of its own, with certificates by cert-manager."""
    manifests = own(tmp_path_factory.mktemp("own"), site, ["overlays/service"], policy="base/pgbearer.yaml")
    with running_service(operator_stage, site, manifests) as running:
        yield running


def certificates_of_ones_own(folder: Path) -> str:
    """A component in `folder` with the certificates of service and Cluster, made by openssl."""
    certificates = folder / "certificates"
    make = CNPG / "components/certificates-secret/make-certificates"
    subprocess.run([make, certificates], check=True, capture_output=True)
    return str(certificates)


@contextmanager
def running_service(stage: OperatorStage, site: Site, manifests: Rendered) -> Iterator[Databases]:
    """As `running_cluster`, where the service has pods of its own."""
    with running_cluster(stage, site, manifests, lambda _: service_pod(stage)) as running:
        try:
            yield running
        finally:
            running.pod.stop()  # the last of them: a test may have had it replaced


def service_pod(stage: OperatorStage, *, before: str = "") -> Pod:
    """The pod that the Deployment ``pgbearer`` makes, or makes next after the one named `before`; ready."""

    def names() -> list[str]:
        words = ["-n", NAMESPACE, "get", "pod", "-l", "app.kubernetes.io/name=pgbearer", "-o", "name"]
        said = stage.cluster.kubectl(*words).split()
        return [name for name in (each.removeprefix("pod/") for each in said) if name != before]

    wait_until(lambda: bool(names()), _SECONDS, "a pod of the service", pause=0.3)
    pod = stage.kubelet.run(NAMESPACE, names()[0])
    try:
        pod.await_ready()
    except BaseException:
        pod.stop()
        raise
    return pod


def _await_certificates(stage: OperatorStage, manifests: Rendered) -> None:
    """A kubelet would try again until their Secrets are there."""
    for kind in _SECRETS:
        for each in manifests.of(kind):
            name = f"{kind}/{each['metadata']['name']}"
            words = ["wait", "--for=condition=Ready", f"--timeout={_SECONDS:.0f}s", name]
            stage.cluster.kubectl("-n", NAMESPACE, *words)


def _roles_are_there(instance: Instance) -> bool:
    found = instance.status().get("managedRolesStatus", {}).get("byStatus", {})
    return "reconciled" in found and "pending-reconciliation" not in found


def _delete(stage: OperatorStage, manifests: Rendered) -> None:
    """All but the namespaces, which others use as well; what is deleted already is fine.

    The Secrets that were made for them too, and those last: they would be made again.
    """
    items = [dict(each) for each in manifests.objects if each["kind"] != "Namespace"]
    items += [_secret(named(each["spec"])) for kind, named in _SECRETS.items() for each in manifests.of(kind)]
    what = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    stage.cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=what)


def _secret(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}}
