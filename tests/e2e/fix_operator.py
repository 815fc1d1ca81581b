"""The real CloudNativePG operator for the run, on the run's API server, and what runs its pods."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.klite.cluster import Cluster
from tests.klite.instances import images
from tests.klite.operator import Operator
from tests.klite.pods import Kubelet
from tests.parts.authority import Authority
from tests.parts.needs import DEBOOTSTRAP, ROOT

__all__ = ["POSTGRES_IMAGE", "OperatorStage", "operator_stage"]

POSTGRES_IMAGE = "ghcr.io/cloudnative-pg/postgresql:18-minimal-trixie"
"""Only a name here: what runs is Debian's PostgreSQL 18."""


@dataclass(frozen=True, slots=True)
class OperatorStage:
    """The operator, and what runs the pods that it makes."""

    cluster: Cluster
    operator: Operator
    kubelet: Kubelet
    folder: Path


@pytest.fixture(scope="session")
def operator_stage(
    need: Callable[..., None], cluster: Cluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorStage]:
    """The operator with its webhooks; no Cluster yet."""
    need(ROOT, DEBOOTSTRAP)
    folder = tmp_path_factory.mktemp("operator")
    for part in ("own", "images", "kubelet"):
        (folder / part).mkdir()
    with Operator.start(cluster, folder / "own", authority) as operator:
        kubelet = Kubelet(cluster, images(folder / "images", POSTGRES_IMAGE), folder / "kubelet")
        yield OperatorStage(cluster, operator, kubelet, folder)
