"""The real CloudNativePG operator with its webhooks, beside a real API server, and the controllers that it needs.

It runs with an administrator's rights: a right that its own ServiceAccount lacks goes unseen. What it asks to run as
pods is run by `tests.klite.pods`.
"""

import base64
import json
import os
import platform
import ssl
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import httpx
import yaml

from tests.klite import controllers, crds, programs
from tests.klite.cluster import Cluster, ClusterError
from tests.parts.authority import Authority
from tests.parts.ports import free_port
from tests.parts.processes import Running, launch, wait_until
from tests.parts.progress import step

__all__ = ["IMAGE", "NAMESPACE", "Operator", "operator_image"]

IMAGE: Final = "ghcr.io/cloudnative-pg/cloudnative-pg"
"""What the operator calls its own image, whose content is its program, before ``:VERSION``."""
NAMESPACE: Final = "cnpg-system"
_READY_SECONDS: Final = 120.0
_CONTROLLERS: Final = (
    "job-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "disruption-controller",
    "deployment-controller",
    "replicaset-controller",
    "cronjob-controller",
)
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass
class Operator:
    """The operator and the controllers, running. A context manager that stops both."""

    cluster: Cluster
    folder: Path
    controllers: Running
    manager: Running

    @classmethod
    def start(cls, cluster: Cluster, folder: Path, authority: Authority) -> Self:
        """Tell the API server of all kinds, start both, register the webhooks, and return when they answer.

        Args:
            cluster: fresh.
            folder: empty; programs' links, certificates and logs go there.
            authority: signs the webhooks' certificate.

        Raises:
            GoError: a program could not be built.
            ClusterError: one ended, or was not ready in two minutes.
        """
        program = programs.operator()
        with step("CloudNativePG's operator starts"), ExitStack() as undo:
            cluster.kubectl("apply", "--server-side", "--recursive", "-f", crds.definitions())
            cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
            running = controllers.start(cluster, folder, _CONTROLLERS)
            undo.callback(running.stop)
            cluster.namespace(NAMESPACE)
            port = free_port()
            manager = _start_manager(program, cluster, folder, authority, port)
            undo.callback(manager.stop)
            operator = cls(cluster, folder, running, manager)
            wait_until(lambda: _answers(port, cluster.ca_file) or not manager.alive(), _READY_SECONDS, "the operator")
            if not manager.alive():
                raise ClusterError(f"the operator ended\n{operator.log()[-3000:]}")
            cluster.kubectl("apply", "-f", "-", stdin=_webhooks(port, cluster.ca_file))
            undo.pop_all()
        return operator

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop both, the operator first."""
        self.manager.stop()
        self.controllers.stop()

    def log(self) -> str:
        """What the operator has logged."""
        return (self.folder / "manager.log").read_text(errors="replace")


def operator_image(folder: Path) -> Path:
    """The content of the operator's own image: its program, which the pods of a Cluster copy for themselves."""
    tree = folder / "operator-image"
    tree.mkdir(exist_ok=True)
    subprocess.run(["cp", "--reflink=auto", programs.operator(), tree / "manager"], check=True)
    return tree


def _start_manager(program: Path, cluster: Cluster, folder: Path, authority: Authority, port: int) -> Running:
    own = folder / "operator"  # the operator looks for its own program, by architecture, below its working folder
    own.mkdir()
    (own / f"manager_{_ARCHITECTURES[platform.machine()]}").symlink_to(program)
    certificates = folder / "webhook"
    certificates.mkdir()
    certificate = authority.server("cnpg-webhook")
    (certificates / "apiserver.crt").symlink_to(certificate.cert_file)
    (certificates / "apiserver.key").symlink_to(certificate.key_file)
    environment = {
        **os.environ,
        "KUBECONFIG": str(cluster.kubeconfig),
        "WEBHOOK_CERT_DIR": str(certificates),
        "OPERATOR_NAMESPACE": NAMESPACE,
        "OPERATOR_IMAGE_NAME": f"{IMAGE}:{programs.version('github.com/cloudnative-pg/cloudnative-pg')}",
        "MONITORING_QUERIES_CONFIGMAP": "",
    }
    words = ["controller", "--webhook-port", str(port), "--metrics-bind-address", f"127.0.0.1:{free_port()}"]
    there: list[str | Path] = ["env", f"--chdir={folder}", "nice", "-n", "10", program, *words]
    return launch(there, log=folder / "manager.log", env=environment)


def _answers(port: int, ca_file: Path) -> bool:
    context = ssl.create_default_context(cafile=str(ca_file))
    try:
        url = f"https://127.0.0.1:{port}/readyz"
        return httpx.get(url, verify=context, timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _webhooks(port: int, ca_file: Path) -> str:
    """The operator's own configurations, with a loopback URL in the place of the Service in a cluster."""
    bundle = base64.b64encode(ca_file.read_bytes()).decode()
    found: list[dict[str, Any]] = list(yaml.safe_load_all((crds.definitions() / crds.WEBHOOKS).read_text()))
    for configuration in found:
        configuration["metadata"]["name"] = f"cnpg-{configuration['metadata']['name']}"
        for webhook in configuration["webhooks"]:
            path = webhook["clientConfig"]["service"]["path"]
            webhook["clientConfig"] = {"url": f"https://127.0.0.1:{port}{path}", "caBundle": bundle}
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": found})
