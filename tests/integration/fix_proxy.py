"""A real PostgreSQL with TLS and the module, and a service that lets everybody in, for a proxy to log in at."""

import contextlib
import hashlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fix_postgres import LOCAL, assert_calm
from tests.lying_service import LyingService
from tests.parts import tls_postgres
from tests.parts.authority import Authority
from tests.parts.module import module_for
from tests.parts.needs import COMPILER
from tests.parts.ports import free_port
from tests.parts.postgres import Installation, Server, server_uid
from tests.parts.tls_postgres import TLS_LIBRARIES
from tests.proxied import ISSUER

__all__ = ["TlsServer", "tls_postgres_server"]


@dataclass
class TlsServer:
    """The server and what it asks; everybody is let in as ``holder-of-TOKEN_REF`` until a test says otherwise."""

    server: Server
    service: LyingService
    ca_file: Path

    @property
    def conninfo(self) -> str:
        """How the proxy gets there."""
        return f"host=localhost hostaddr=127.0.0.1 port={self.server.port} sslrootcert={self.ca_file}"

    def let_everybody_in(self) -> None:
        """As it begins: a crossed token would be seen in system_user."""

        def behave(connection: socket.socket, request: dict[str, Any]) -> None:
            reference = hashlib.sha256(request["token"].encode()).hexdigest()[:12]
            self.service._answer_with({"decision": "allow", "identity": f"holder-of-{reference}"})(connection, request)

        self.service._behaviour = behave

    def sessions(self, where: str = "true") -> int:
        """How many sessions of ``app`` there are."""
        asked = f"SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND {where}"  # noqa: S608  a test's own
        return int(self.server.sql(asked))


@pytest.fixture(scope="module")
def tls_postgres_server(need: Callable[..., None]) -> Iterator[TlsServer]:
    """One for all tests of a file, with role ``app`` and database ``appdb``; tests leave it as they found it."""
    need(COMPILER, TLS_LIBRARIES)
    with contextlib.ExitStack() as stack:
        installation = Installation(tls_postgres.installation() / "bin")
        server = Server(installation, {}, ())
        stack.callback(server.remove)
        authority = Authority(server.folder / "ca")  # where the server's uid can read
        certificate = authority.server("localhost", owner=server_uid())
        lines = [
            LOCAL,
            *(
                f'hostssl {database} all 127.0.0.1/32 oauth issuer="{ISSUER}" scope="openid" delegate_ident_mapping=1'
                for database in ("all", "replication")
            ),
        ]
        server.configure(_settings(server, installation, certificate), lines)
        service = LyingService(server.folder / "login.sock")
        service.start()
        stack.callback(service.stop)
        server.start()
        server.sql("CREATE ROLE app LOGIN REPLICATION")
        server.sql("CREATE DATABASE appdb OWNER app")
        running = TlsServer(server, service, authority.ca_file)
        running.let_everybody_in()
        yield running
        assert_calm(server.log)


def _settings(server: Server, installation: Installation, certificate: Any) -> dict[str, str]:
    return {
        "listen_addresses": "127.0.0.1",
        "port": str(free_port()),
        "ssl": "on",
        "ssl_cert_file": str(certificate.cert_file),
        "ssl_key_file": str(certificate.key_file),
        "max_connections": "540",
        "max_wal_senders": "4",
        "wal_level": "logical",
        "dynamic_library_path": f"{module_for(installation.pg_config)}:$libdir",
        "shared_preload_libraries": "pgbearer",
        "oauth_validator_libraries": "pgbearer",
        "pgbearer.endpoints": f"unix:{server.folder}/login.sock",
        "pgbearer.timeout": "10s",
    }
