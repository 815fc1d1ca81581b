"""Kubernetes' own controllers beside a real API server, each by its name."""

from collections.abc import Sequence
from pathlib import Path

from tests.klite import programs
from tests.klite.cluster import Cluster
from tests.parts.ports import free_port
from tests.parts.processes import Running, launch

__all__ = ["start"]


def start(cluster: Cluster, folder: Path, names: Sequence[str], *options: str) -> Running:
    """Start some, and return at once; whoever calls stops them.

    Args:
        cluster: whose objects they see to.
        folder: for their certificate, and the log ``controllers.log``.
        names: as kube-controller-manager calls them.
        options: more of its own.

    Raises:
        GoError: it could not be built.
    """
    program, config = programs.controller_manager(), cluster.kubeconfig
    command: list[str | Path] = [
        *("nice", "-n", "10", program, f"--kubeconfig={config}", f"--authentication-kubeconfig={config}"),
        *(f"--authorization-kubeconfig={config}", "--leader-elect=false", "--bind-address=127.0.0.1"),
        *(f"--secure-port={free_port()}", f"--cert-dir={folder}", f"--root-ca-file={cluster.ca_file}"),
        *(f"--service-account-private-key-file={cluster.signing_key}", f"--controllers={','.join(names)}", *options),
    ]
    return launch(command, log=folder / "controllers.log")
