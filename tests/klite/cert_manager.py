"""The real cert-manager, its controllers and its webhook, beside a real API server.

Its own ways to sign are here (CA and self-signed), those that ask somebody else (ACME, Vault, Venafi) are not, nor is
cainjector, which only other webhooks need. It runs with an administrator's rights.
"""

import base64
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import httpx

from tests.klite import programs
from tests.klite.cluster import Cluster, ClusterError
from tests.parts.authority import Authority
from tests.parts.ports import free_port
from tests.parts.processes import Running, launch, wait_until
from tests.parts.progress import step

__all__ = ["CertManager"]

_READY_SECONDS: Final = 120.0
_NAME: Final = "webhook.cert-manager.io"
_RULES: Final = {
    "Validating": {"apiGroups": ["cert-manager.io", "acme.cert-manager.io"], "resources": ["*/*"]},
    "Mutating": {"apiGroups": ["cert-manager.io"], "resources": ["certificaterequests"]},
}
"""What each webhook is asked about, as in upstream's chart (deploy/charts/cert-manager/templates)."""


@dataclass
class CertManager:
    """cert-manager, running. A context manager that stops it."""

    cluster: Cluster
    folder: Path
    process: Running

    @classmethod
    def start(cls, cluster: Cluster, folder: Path, authority: Authority) -> Self:
        """Start it, register its webhooks, and return when they answer.

        Args:
            cluster: knows its kinds already.
            folder: empty; for its log.
            authority: signs the webhooks' certificate.

        Raises:
            GoError: it could not be built.
            ClusterError: it ended.
            TimeUpError: its webhooks did not answer in two minutes.
        """
        program = programs.cert_manager()
        with step("cert-manager starts"):
            port, certificate = free_port(), authority.server("cert-manager-webhook")
            words: list[str | Path] = ["-kubeconfig", cluster.kubeconfig, "-listen", f"127.0.0.1:{port}"]
            files: list[str | Path] = ["-certificate", certificate.cert_file, "-key", certificate.key_file]
            command: list[str | Path] = ["nice", "-n", "10", program, *words, *files]
            running = cls(cluster, folder, launch(command, log=folder / "cert-manager.log"))
            try:
                running._await_webhook(port)
                cluster.kubectl("apply", "-f", "-", stdin=_webhooks(port, cluster.ca_file))
            except BaseException:
                running.stop()
                raise
        return running

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it; its webhooks stay registered, and refuse."""
        self.process.stop()

    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "cert-manager.log").read_text(errors="replace")

    def _await_webhook(self, port: int) -> None:
        context = ssl.create_default_context(cafile=str(self.cluster.ca_file))

        def answers() -> bool:
            if not self.process.alive():
                raise ClusterError(f"cert-manager ended\n{self.log()[-3000:]}")
            try:
                url = f"https://127.0.0.1:{port}/readyz"
                return httpx.get(url, verify=context, timeout=5, trust_env=False).status_code == httpx.codes.OK
            except httpx.HTTPError:
                return False

        wait_until(answers, _READY_SECONDS, "cert-manager's webhook")


def _webhooks(port: int, ca_file: Path) -> str:
    """Both configurations, with a loopback URL in the place of the Service in a cluster."""
    bundle = base64.b64encode(ca_file.read_bytes()).decode()
    items = [
        _webhook("Validating", ["CREATE", "UPDATE"], f"https://127.0.0.1:{port}/validate", bundle),
        _webhook("Mutating", ["CREATE"], f"https://127.0.0.1:{port}/mutate", bundle),
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _webhook(kind: str, operations: list[str], url: str, bundle: str) -> dict[str, Any]:
    asked = {
        "name": _NAME,
        "rules": [{**_RULES[kind], "apiVersions": ["v1"], "operations": operations}],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {"url": url, "caBundle": bundle},
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": "cert-manager-webhook"},
        "webhooks": [asked],
    }
