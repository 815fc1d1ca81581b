"""The real CloudNativePG operator and cert-manager for the run, on the run's API server, and what runs their pods."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.klite.cert_manager import CertManager
from tests.klite.cluster import Cluster
from tests.klite.instances import images
from tests.klite.node import Node
from tests.klite.operator import Operator
from tests.klite.pods import Kubelet
from tests.parts.authority import Authority
from tests.parts.cache import alone
from tests.parts.needs import DEBOOTSTRAP, ROOT

__all__ = ["POSTGRES_IMAGE", "OperatorStage", "operator_stage"]

POSTGRES_IMAGE = "ghcr.io/cloudnative-pg/postgresql:18-minimal-trixie"
"""Only a name here: what runs is Debian's PostgreSQL 18."""


@dataclass(frozen=True, slots=True)
class OperatorStage:
    """The operator, cert-manager, and what runs the pods that are made."""

    cluster: Cluster
    operator: Operator
    cert_manager: CertManager
    kubelet: Kubelet
    folder: Path


@pytest.fixture(scope="session")
def operator_stage(
    need: Callable[..., None], cluster: Cluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorStage]:
    """The operator and cert-manager with their webhooks; no Cluster yet."""
    need(ROOT, DEBOOTSTRAP)
    folder = tmp_path_factory.mktemp("operator")
    for part in ("own", "cert-manager", "images"):
        (folder / part).mkdir()
    with (
        alone("the-ports-of-pods"),  # PostgreSQL's and the operator's own, on this machine itself
        Operator.start(cluster, folder / "own", authority) as operator,
        CertManager.start(cluster, folder / "cert-manager", authority) as cert_manager,
        Node.start(cluster, "machine", folder / "kubelet") as node,
    ):
        kubelet = Kubelet(node, images(folder / "images", POSTGRES_IMAGE))
        yield OperatorStage(cluster, operator, cert_manager, kubelet, folder)
