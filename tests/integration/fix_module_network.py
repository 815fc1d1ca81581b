"""A PostgreSQL with OpenSSL whose module asks over the network, with an authority and certificates for both sides."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.integration.fix_postgres import LOCAL, OAUTH, BearerServer, assert_calm, module_settings
from tests.lying_network import LyingNetwork
from tests.parts import tls_postgres
from tests.parts.authority import Authority, Certificate
from tests.parts.needs import COMPILER, SANITIZER
from tests.parts.postgres import Installation, server_uid
from tests.parts.sanitize import sanitizing
from tests.parts.tls_postgres import TLS_LIBRARIES

__all__ = [
    "SERVICE_ID",
    "SERVICE_NAME",
    "NetworkServer",
    "certificates_of",
    "lying_network",
    "network_server",
    "tls_installation",
    "tls_settings",
    "waiting",
]

SERVICE_NAME = "pgbearer.test"
SERVICE_ID = "spiffe://prod.test/pgbearer"


@pytest.fixture(scope="session")
def tls_installation(need: Callable[..., None]) -> Installation:
    """PostgreSQL 18 that was built with OpenSSL."""
    need(SANITIZER if sanitizing() else COMPILER, TLS_LIBRARIES)
    return Installation(tls_postgres.installation() / "bin")


@dataclass
class NetworkServer:
    """The server; `authority` signs for both sides, `own` is what the module shows."""

    server: BearerServer
    authority: Authority
    own: Certificate

    def ask_at(self, *endpoints: str, **settings: str) -> None:
        """Let the module ask there from now on; other settings of the module go back to ours."""
        ours = tls_settings(self.own, self.authority) | {"pgbearer.timeout": "10s", "pgbearer.connect_timeout": "5s"}
        wanted = ours | {f"pgbearer.{name}": value for name, value in settings.items()}
        wanted["pgbearer.endpoints"] = ", ".join(endpoints)
        lines = (f"{name} = '{value}'" for name, value in wanted.items())
        (self.server.data / "postgresql.auto.conf").write_text("\n".join(lines) + "\n")
        self.server.reload()


def tls_settings(own: Certificate, authority: Authority) -> dict[str, str]:
    """The module's files."""
    return {
        "pgbearer.tls_certificate_file": str(own.cert_file),
        "pgbearer.tls_key_file": str(own.key_file),
        "pgbearer.tls_ca_file": str(authority.ca_file),
    }


def certificates_of(server: BearerServer) -> tuple[Authority, Certificate]:
    """An authority whose files the server can read, and a certificate for its module."""
    authority = Authority(server.folder / "tls", "pgbearer network test")
    return authority, authority.client("module", ["spiffe://prod.test/postgres/pay"], owner=_owner())


def _owner() -> int | None:
    return server_uid() if os.geteuid() == 0 else None


@pytest.fixture(scope="module")
def _network_server(tls_installation: Installation) -> Iterator[NetworkServer]:
    server = BearerServer(tls_installation, module_settings(tls_installation, preload=True), (LOCAL, OAUTH))
    try:
        authority, own = certificates_of(server)
        server.start()
        server.sql("CREATE ROLE app LOGIN")
        yield NetworkServer(server, authority, own)
    finally:
        server.remove()


@pytest.fixture
def network_server(_network_server: NetworkServer) -> Iterator[NetworkServer]:
    """One for all tests of a file, of which no backend crashes during the test."""
    server = _network_server.server
    postmaster, before = server.pid, len(server.log)
    yield _network_server
    assert server.alive()
    assert server.pid == postmaster
    assert_calm(server.log[before:])


@pytest.fixture
def lying_network(network_server: NetworkServer) -> Iterator[LyingNetwork]:
    """The service that `network_server` asks, by its DNS name; it allows until told otherwise."""
    lying = LyingNetwork(network_server.authority.server("service", [SERVICE_NAME]), network_server.authority.ca_file)
    lying.start()
    lying.allow()
    network_server.ask_at(lying.endpoint())
    yield lying
    lying.stop()


def waiting(server: BearerServer) -> int:
    """How many backends wait for the service now."""
    return int(server.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgbearerService'"))
