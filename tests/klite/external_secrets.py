"""The real External Secrets, its controllers and its webhook, beside a real API server.

Of the stores that it knows, Vault is here; those of clouds are not, nor are generators. The webhook's certificate is
ours, where in a cluster its certificate controller makes one. It runs with an administrator's rights.
"""

import base64
import json
import os
import ssl
from contextlib import ExitStack
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

__all__ = ["ExternalSecrets"]

_READY_SECONDS: Final = 120.0
_GROUP: Final = "external-secrets.io"
_VALIDATED: Final = ("externalsecret", "secretstore", "clustersecretstore")
"""The kinds that its webhook is asked about, as in deploy/charts/external-secrets/templates/validatingwebhook.yaml."""
_WEBHOOKS: Final = "external-secrets-validate"


@dataclass
class ExternalSecrets:
    """External Secrets, running. A context manager that stops it."""

    cluster: Cluster
    folder: Path
    controllers: Running
    webhook: Running

    @classmethod
    def start(cls, cluster: Cluster, folder: Path, authority: Authority) -> Self:
        """Start it, register its webhook, and return when that answers.

        Args:
            cluster: knows its kinds already.
            folder: empty; for its logs.
            authority: signs the webhook's certificate.

        Raises:
            GoError: it could not be built.
            ClusterError: it ended.
            TimeUpError: its webhook did not answer in two minutes.
        """
        program = programs.external_secrets()
        environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
        with step("External Secrets starts"), ExitStack() as undo:

            def run(name: str, *words: str) -> Running:
                command: list[str | Path] = ["nice", "-n", "10", program, *words, "--metrics-addr=0"]
                running = launch(command, log=folder / f"{name}.log", env=environment)
                undo.callback(running.stop)
                return running

            port = free_port()
            webhook = run("webhook", "webhook", *_serving(folder, authority, port))
            controllers = run("controllers", f"--live-addr=127.0.0.1:{free_port()}")
            running = cls(cluster, folder, controllers, webhook)
            running._await_webhook(port)
            cluster.kubectl("apply", "-f", "-", stdin=_webhooks(port, cluster.ca_file))
            undo.pop_all()
        return running

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop both; nobody is asked about its kinds any more."""
        self.cluster.kubectl("delete", "validatingwebhookconfiguration", _WEBHOOKS)
        self.controllers.stop()
        self.webhook.stop()

    def log(self) -> str:
        """What both have logged."""
        files = (self.folder / f"{name}.log" for name in ("controllers", "webhook"))
        return "\n".join(file.read_text(errors="replace") for file in files)

    def _await_webhook(self, port: int) -> None:
        context = ssl.create_default_context(cafile=str(self.cluster.ca_file))

        def answers() -> bool:
            if not (self.webhook.alive() and self.controllers.alive()):
                raise ClusterError(f"External Secrets ended\n{self.log()[-3000:]}")
            try:
                httpx.get(f"https://localhost:{port}", verify=context, timeout=5, trust_env=False)
            except httpx.HTTPError:
                return False
            return True

        wait_until(answers, _READY_SECONDS, "External Secrets' webhook")


def _serving(folder: Path, authority: Authority, port: int) -> list[str]:
    """Options of the webhook: where it answers, and its certificate."""
    certificate = authority.server("external-secrets-webhook")
    for name, file in (
        ("tls.crt", certificate.cert_file),
        ("tls.key", certificate.key_file),
        ("ca.crt", authority.ca_file),
    ):
        (folder / name).symlink_to(file)
    # it ends where its certificate would not last so much longer, and ours are good for a month
    lasting = ["--dns-name=localhost", "--lookahead-interval=1h"]
    return [f"--port={port}", f"--healthz-addr=127.0.0.1:{free_port()}", f"--cert-dir={folder}", *lasting]


def _webhooks(port: int, ca_file: Path) -> str:
    """The configuration of upstream's chart, with a loopback URL in the place of the Service in a cluster."""
    bundle = base64.b64encode(ca_file.read_bytes()).decode()
    asked: list[dict[str, Any]] = [
        {
            "name": f"validate.{kind}.{_GROUP}",
            "rules": [
                {
                    "apiGroups": [_GROUP],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE", "DELETE"],
                    "resources": [f"{kind}s"],
                }
            ],
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {
                "url": f"https://localhost:{port}/validate-external-secrets-io-v1-{kind}",
                "caBundle": bundle,
            },
        }
        for kind in _VALIDATED
    ]
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": _WEBHOOKS},
        "webhooks": asked,
    }
    return json.dumps(configuration)
