"""Fetch and build what the tests need before they run, so that no test's time limit pays for a download.

    python -m tests.parts
    python -m tests.parts clusters      what takes minutes to build, and only tests/e2e needs

What this machine cannot have is left out and named; the tests say it again, where it counts.
"""

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Final

from tests.klite import crds, programs
from tests.parts import arm64, cerbos, debian, drivers, image, keycloak, module, opa, postgres, tls_postgres
from tests.parts.needs import MissingError
from tests.parts.progress import say

_AT_ONCE: Final = 3
"""Downloads wait for the network, and builds for their slowest step."""

PARTS: dict[str, Callable[[], object]] = {
    "PostgreSQL and the module": lambda: module.module_for(postgres.embedded().pg_config),
    "PostgreSQL with TLS and the module": lambda: module.module_for(tls_postgres.pg_config()),
    "Keycloak": keycloak.distribution,
    "Cerbos": cerbos.program,
    "OPA": opa.program,
    "the JDBC driver": drivers.jdbc_driver,
    "node-postgres": drivers.node_postgres,
    "pgx": drivers.pgx_program,
    "older psql, and PgBouncer": lambda: debian.DebianRoot.of(debian.OLD_CLIENTS),
    "psql with the device flow": lambda: debian.DebianRoot.of(debian.CLIENT),
    "Prometheus' promtool": lambda: debian.DebianRoot.of(debian.PROMETHEUS),
    "Debian's PostgreSQL 18": lambda: debian.DebianRoot.of(debian.COMPILE_18),
    "Debian's PostgreSQL 19": lambda: debian.DebianRoot.of(debian.COMPILE_19),
    "the base of the service's image": image.base,
    "the service's image": image.service,
    "the module's image for PostgreSQL 18": lambda: image.module(18),
    "the module's image for PostgreSQL 19": lambda: image.module(19),
    "the service's image for arm64": lambda: (image.service(arm64.ARCHITECTURE), image.base(arm64.ARCHITECTURE)),
    "the module's image for PostgreSQL 18 on arm64": lambda: image.module(18, arm64.ARCHITECTURE),
    "the module's image for PostgreSQL 19 on arm64": lambda: image.module(19, arm64.ARCHITECTURE),
    "buildx": programs.buildx,
    "kustomize": programs.kustomize,
    "kubeconform": programs.kubeconform,
    "what says Kubernetes' and CloudNativePG's verdicts offline": programs.offline_check,
    "cert-manager, and what says its verdicts offline": programs.cert_manager,
    "the definitions of other kinds": crds.definitions,
    "the schemas of Kubernetes' kinds": crds.schemas,
}
CLUSTERS: dict[str, Callable[[], object]] = {
    "etcd": programs.etcd,
    "Kubernetes' API server": programs.apiserver,
    "Kubernetes' controllers": programs.controller_manager,
    "kubectl": programs.kubectl,
    "what kubectl exec, logs and port-forward come to": programs.kubelet_streams,
    "CloudNativePG's operator": programs.operator,
    "CloudNativePG's plugin of kubectl": programs.kubectl_cnpg,
    "External Secrets": programs.external_secrets,
    "Vault": programs.vault,
    "SPIRE's agent": programs.spire_agent,
    "SPIRE's server": programs.spire_server,
}


def main(which: Sequence[str]) -> None:
    """Make each part that is not in the cache."""
    os.umask(0o022)  # PostgreSQL's uid must be able to read what root unpacks
    with ThreadPoolExecutor(_AT_ONCE) as several:
        waiting = [several.submit(_make, *part) for part in (CLUSTERS if "clusters" in which else PARTS).items()]
        for each in as_completed(waiting):
            each.result()


def _make(name: str, make: Callable[[], object]) -> None:
    try:
        make()
    except MissingError as error:
        say(f"without {name}: {error}")


main(sys.argv[1:])
