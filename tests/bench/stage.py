"""What is measured, set up: an issuer, the service as it is installed, and PostgreSQL with TLS, on this machine."""

import os
import pwd
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.bench.logins import Logins
from tests.issuer import AUDIENCE, CLIENT, Issuer
from tests.parts import tls_postgres
from tests.parts.authority import Authority
from tests.parts.module import module_for
from tests.parts.ports import free_port
from tests.parts.postgres import Installation, Server, server_uid
from tests.parts.processes import Running, launch, wait_until

__all__ = ["Stage", "set_up"]

_POLICY = """
version: 1
servers:
  local: {{socket: {folder}/login/login.sock, uid: {uid}, group: {gid}}}
  bench: {{socket: {folder}/login/login.sock, uid: {own_uid}, group: {gid}}}
  net: {{certificate: spiffe://bench.test/postgres}}
listen:
  tls:
    address: "{network}"
    certificate_file: {folder}/ca/service.crt
    key_file: {folder}/ca/service.key
    client_ca_file: {ca_file}
limits: {{per_caller_per_second: 1000000}}
issuers:
  bench:
    profile: keycloak
    issuer: {issuer}
    audience: "{audience}"
    clients: [{client}]
    identity: "bench:{{sub}}"
    claims: {{preferred_username: string}}
    max_lifetime: 60m
    ca_file: {ca_file}
defaults: {{session: {{until: fixed, max: 10h}}}}
rules:
  - {{name: bench, any_role: [db-read], databases: [postgres], roles: [bench_oauth],
      when: 'claims.preferred_username != "nobody" && request.database == "postgres"'}}
audit: {{file: {folder}/audit/audit.jsonl}}
admin: {{socket: {folder}/admin/admin.sock}}
state: {{folder: {folder}/state}}
http: {{address: "127.0.0.1:{port}"}}
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """The parts, running."""

    folder: Path
    issuer: Issuer
    server: Server
    service: Running
    start_seconds: float
    """From the start of the service's process to its being ready."""
    port: int
    ca_file: Path
    password: str
    network: str
    """Where the service listens with TLS: address and port."""

    @contextmanager
    def over_the_network(self) -> Iterator[None]:
        """Meanwhile the module asks there, and not at the socket."""
        self._ask_at(f"tcp://{self.network}?hostname=service.test")
        try:
            yield
        finally:
            self._ask_at(f"unix:{self.login_socket}")

    def _ask_at(self, endpoint: str) -> None:
        self.server.sql(f"ALTER SYSTEM SET pgbearer.endpoints = '{endpoint}'")
        self.server.reload()

    @property
    def settings(self) -> Path:
        """The service's pgbearer.yaml."""
        return self.folder / "pgbearer.yaml"

    @property
    def login_socket(self) -> Path:
        """Where the service listens."""
        return self.folder / "login" / "login.sock"

    def logins(self, cold: int) -> Logins:
        """Ways to log in over verified TLS, with `cold` tokens that are used once each."""
        where = {
            "host": "localhost",
            "hostaddr": "127.0.0.1",
            "port": self.port,
            "dbname": "postgres",
            "sslmode": "verify-full",
            "sslrootcert": str(self.ca_file),
        }
        return Logins(where, self.password, self.issuer.url, self.token(), [self.token() for _ in range(cold)])

    def token(self, padding: int = 0) -> str:
        """A token that lasts longer than any run, made larger by `padding` bytes of a claim that nobody reads."""
        return self.issuer.token(exp=int(time.time()) + 3500, padding="x" * padding)


@contextmanager
def set_up() -> Iterator[Stage]:
    """Start everything; all of it is gone afterwards."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="pgbearer-bench-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        (folder / "audit").mkdir(mode=0o700)  # not beside pgbearer.yaml: the service watches the folder of that one
        authority = Authority(folder / "ca")
        issuer = stack.enter_context(Issuer(authority))
        network = f"127.0.0.1:{free_port()}"
        service, seconds = _start_service(folder, issuer, authority, network)
        stack.callback(service.stop)
        port, password = free_port(), secrets.token_hex(16)
        server = _start_server(folder, authority, issuer, port, password)
        stack.callback(server.remove)
        yield Stage(folder, issuer, server, service, seconds, port, authority.ca_file, password, network)


def _start_service(folder: Path, issuer: Issuer, authority: Authority, network: str) -> tuple[Running, float]:
    port = free_port()
    authority.server("service", ["service.test"])
    settings = folder / "pgbearer.yaml"
    settings.write_text(
        _POLICY.format(
            folder=folder,
            uid=server_uid(),
            own_uid=os.geteuid(),
            gid=pwd.getpwuid(server_uid()).pw_gid,
            issuer=issuer.url,
            audience=AUDIENCE,
            client=CLIENT,
            ca_file=authority.ca_file,
            port=port,
            network=network,
        )
    )
    settings.chmod(0o600)
    command: list[str | Path] = [Path(sys.executable).with_name("pgbearer"), "serve", "-c", settings]
    started = time.perf_counter()
    service = launch(command, log=folder / "service.log")
    with httpx.Client(trust_env=False) as client:

        def ready() -> bool:
            if not service.alive():
                raise RuntimeError((folder / "service.log").read_text())
            try:
                return client.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(ready, 30, "the service to be ready", pause=0.01)
    return service, time.perf_counter() - started


def _start_server(folder: Path, authority: Authority, issuer: Issuer, port: int, password: str) -> Server:
    installation = Installation(tls_postgres.installation() / "bin")
    certificate = authority.server("localhost", owner=server_uid())
    own = authority.client("module", ["spiffe://bench.test/postgres"], owner=server_uid())
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "ssl": "on",
        "ssl_cert_file": str(certificate.cert_file),
        "ssl_key_file": str(certificate.key_file),
        "max_connections": "1200",
        "log_min_messages": "warning",
        "dynamic_library_path": f"{module_for(installation.pg_config)}:$libdir",
        "shared_preload_libraries": "pgbearer",
        "oauth_validator_libraries": "pgbearer",
        "pgbearer.endpoints": f"unix:{folder}/login/login.sock",
        "pgbearer.tls_certificate_file": str(own.cert_file),
        "pgbearer.tls_key_file": str(own.key_file),
        "pgbearer.tls_ca_file": str(authority.ca_file),
    }
    hba = [
        "local all postgres trust",
        "hostssl all bench_trust 127.0.0.1/32 trust",
        "hostssl all bench_scram 127.0.0.1/32 scram-sha-256",
        f'hostssl all bench_oauth 127.0.0.1/32 oauth issuer="{issuer.url}" scope="openid" delegate_ident_mapping=1',
    ]
    server = Server(installation, settings, hba)
    server.start()
    for role in ("bench_trust", "bench_oauth"):
        server.sql(f"CREATE ROLE {role} LOGIN")
        server.sql(f"GRANT SELECT ON pg_backend_memory_contexts TO {role}")
        server.sql(f"GRANT EXECUTE ON FUNCTION pg_get_backend_memory_contexts() TO {role}")
    server.sql(f"SET password_encryption = 'scram-sha-256'; CREATE ROLE bench_scram LOGIN PASSWORD '{password}'")
    return server
