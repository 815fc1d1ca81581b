"""A real Kubernetes API server with its etcd on the loopback: service accounts, pods and their tokens.

No kubelet, no scheduler, no controllers: what is created stays as it was created, and what is deleted is gone at once.
What a kubelet is asked by it, `tests.klite.node` answers.
"""

import json
import secrets
import ssl
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.klite.programs import apiserver, etcd, kubectl
from tests.parts.authority import LOOPBACK, Authority, Certificate
from tests.parts.ports import free_port
from tests.parts.processes import Running, launch, wait_until
from tests.parts.progress import step

__all__ = ["AS_CLIENT", "IN_PODS", "ISSUER", "Cluster", "ClusterError"]

ISSUER = "https://kubernetes.default.svc.cluster.local"
"""What most clusters call themselves, and so many of them that it tells nobody which one."""
IN_PODS = "kubernetes.default.svc"
"""What pods call it; where they are on this machine's network, it is at the port of `Cluster.url` all the same."""
AS_CLIENT = "kube-apiserver-kubelet-client"
"""What the API server is to kubelets, by its certificate; kubeadm calls it so."""
_READY_SECONDS = 120.0


class ClusterError(Exception):
    """The API server or etcd did not start, or refused what the test asked of it."""


@dataclass
class Cluster:
    """A running control plane. A context manager that stops it.

    `url` is where it answers, with a certificate of the authority's; `issuer` is what its tokens say; `admin` is the
    token of an administrator; `kubelet` is a certificate for whoever answers in a kubelet's place.
    """

    folder: Path
    url: str
    ca_file: Path
    admin: str = field(repr=False)
    etcd: Running
    apiserver: Running
    kubelet: Certificate
    issuer: str = ISSUER

    @classmethod
    def start(cls, folder: Path, authority: Authority, *, at_its_own_address: bool = False) -> Self:
        """Start one in the empty `folder`, and return when it is ready.

        Args:
            folder: for data and logs.
            authority: signs its certificate.
            at_its_own_address: its tokens say where it answers, and everybody may fetch its keys there, as where an
                authorization server outside takes its tokens; else `ISSUER`.

        Raises:
            GoError: a program could not be built.
            ClusterError: it ended, or was not ready in two minutes.
        """
        programs = etcd(), apiserver()  # before anything runs: building takes minutes
        admin = secrets.token_hex(16)
        with step("Kubernetes' API server starts"), ExitStack() as undo:
            store, address = _start_etcd(programs[0], folder)
            undo.callback(store.stop)
            port = free_port()
            issuer = f"https://localhost:{port}" if at_its_own_address else ISSUER
            server = launch(
                [programs[1], *_options(folder, authority, address, port, admin, issuer)], log=folder / "apiserver.log"
            )
            undo.callback(server.stop)
            url, kubelet = f"https://127.0.0.1:{port}", authority.server(f"{folder.name}-kubelet")
            cluster = cls(folder, url, authority.ca_file, admin, store, server, kubelet, issuer)
            _secret(cluster.kubeconfig, _kubeconfig(cluster).encode())
            wait_until(lambda: cluster.ready() or not server.alive(), _READY_SECONDS, "the API server to be ready")
            if not server.alive():
                raise ClusterError(f"the API server ended\n{(folder / 'apiserver.log').read_text()[-3000:]}")
            if at_its_own_address:
                cluster.publish_keys()
            undo.pop_all()
        return cluster

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop both, the server first."""
        self.apiserver.stop()
        self.etcd.stop()

    @property
    def kubeconfig(self) -> Path:
        """A file with which programs are the administrator."""
        return self.folder / "kubeconfig"

    @property
    def signing_key(self) -> Path:
        """What tokens of service accounts are signed with."""
        return self.folder / "sa.key"

    def kubectl(self, *words: str | Path, stdin: str | None = None) -> str:
        """What ``kubectl`` prints, run as the administrator.

        Raises:
            ClusterError: it failed; its own words are in the message.
        """
        command = [kubectl(), f"--kubeconfig={self.kubeconfig}", *words]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout

    def ready(self) -> bool:
        """Whether the API server says so, its roles made."""
        try:
            return self._ask("GET", "/readyz").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def create(self, path: str, **what: Any) -> dict[str, Any]:
        """POST an object; answers with what it has become."""
        made: dict[str, Any] = self._done(self._ask("POST", path, what)).json()
        return made

    def get(self, path: str) -> dict[str, Any]:
        """An object as it is now."""
        found: dict[str, Any] = self._done(self._ask("GET", path)).json()
        return found

    def delete(self, path: str) -> None:
        """Delete an object at once."""
        self._done(self._ask("DELETE", path, {"gracePeriodSeconds": 0}))

    def publish_keys(self) -> None:
        """Let everybody fetch the keys of its tokens."""
        self.create(
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            metadata={"name": "keys-for-everybody"},
            roleRef={
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "system:service-account-issuer-discovery",
            },
            subjects=[{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:unauthenticated"}],
        )

    def namespace(self, name: str) -> None:
        """Make a namespace."""
        self.create("/api/v1/namespaces", metadata={"name": name})

    def account(self, namespace: str, name: str) -> None:
        """Make a service account."""
        self.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", metadata={"name": name})

    def pod(self, namespace: str, name: str, account: str, *, node: str | None = None) -> dict[str, Any]:
        """Make a pod that runs as a service account, on a node that is made for it; nothing really runs it."""
        containers = [{"name": "app", "image": "registry.example/app"}]
        spec: dict[str, Any] = {"serviceAccountName": account, "containers": containers}
        if node is not None:
            self.create("/api/v1/nodes", metadata={"name": node})
            spec["nodeName"] = node
        spec["automountServiceAccountToken"] = False
        return self.create(f"/api/v1/namespaces/{namespace}/pods", metadata={"name": name}, spec=spec)

    def apply(self, manifest: str) -> dict[str, Any]:
        """Create the one object in a manifest, by the API server's own rules for it: no unknown field, no warning."""
        what = yaml.safe_load(manifest)
        namespace = what["metadata"].get("namespace")
        group = "/api/v1" if what["apiVersion"] == "v1" else f"/apis/{what['apiVersion']}"
        where = f"{group}/namespaces/{namespace}" if namespace else group
        return self.create(f"{where}/{what['kind'].lower()}s?fieldValidation=Strict", **what)

    def token(
        self, namespace: str, account: str, *audiences: str, pod: Mapping[str, Any] | None = None, seconds: int = 600
    ) -> str:
        """A token by TokenRequest, as the kubelet gets it; without audiences it is the API server's own."""
        spec: dict[str, Any] = {"audiences": list(audiences), "expirationSeconds": seconds}
        if pod is not None:
            metadata = pod["metadata"]
            spec["boundObjectRef"] = {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": metadata["name"],
                "uid": metadata["uid"],
            }
        made = self.create(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", spec=spec)
        return str(made["status"]["token"])

    def _ask(self, method: str, path: str, what: Mapping[str, Any] | None = None) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.admin}"}
        context = ssl.create_default_context(cafile=str(self.ca_file))
        return httpx.request(
            method, self.url + path, json=what, headers=headers, verify=context, timeout=30, trust_env=False
        )

    def _done(self, reply: httpx.Response) -> httpx.Response:
        if not reply.is_success:
            raise ClusterError(f"{reply.request.method} {reply.request.url.path}: {reply.status_code} {reply.text}")
        return reply


def _start_etcd(program: Path, folder: Path) -> tuple[Running, str]:
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    command: list[str | Path] = [program, "--data-dir", folder / "etcd", "--unsafe-no-fsync", "--log-level", "warn"]
    command += ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
    command += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
    return launch(command, log=folder / "etcd.log"), client


def _options(folder: Path, authority: Authority, store: str, port: int, admin: str, issuer: str) -> list[str]:
    """RBAC as everywhere; an administrator by a token from a file, which needs no certificate."""
    # files of its own: it reads them again, and drops its connections to kubelets when another's are in their place
    certificate = authority.server(f"{folder.name}-apiserver", (*LOOPBACK, IN_PODS))
    to_kubelets = authority.client(f"{folder.name}-to-kubelets", [AS_CLIENT])
    tokens = _secret(folder / "tokens.csv", f"{admin},admin,admin,system:masters\n".encode())
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, pkcs8, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    signing = _secret(folder / "sa.key", key.private_bytes(pem, pkcs8, plain))
    return [
        f"--etcd-servers={store}",
        *("--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={port}"),
        f"--tls-cert-file={certificate.cert_file}",
        f"--tls-private-key-file={certificate.key_file}",
        f"--cert-dir={folder}",
        f"--kubelet-client-certificate={to_kubelets.cert_file}",
        f"--kubelet-client-key={to_kubelets.key_file}",
        f"--kubelet-certificate-authority={authority.ca_file}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        f"--service-account-issuer={issuer}",
        f"--service-account-key-file={signing}",
        f"--service-account-signing-key-file={signing}",
        *("--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none"),
    ]


def _kubeconfig(cluster: Cluster) -> str:
    server = {"server": cluster.url, "certificate-authority": str(cluster.ca_file)}
    return json.dumps(  # JSON is YAML
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "admin",
            "contexts": [{"name": "admin", "context": {"cluster": "here", "user": "admin"}}],
            "clusters": [{"name": "here", "cluster": server}],
            "users": [{"name": "admin", "user": {"token": cluster.admin}}],
        }
    )


def _secret(file: Path, content: bytes) -> Path:
    file.touch(mode=0o600)
    file.write_bytes(content)
    return file
