"""PostgreSQL as Debian builds it, with the module compiled for it there, in front of the run's Keycloak."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo import service
from tests.parts import arm64, image
from tests.parts.authority import Authority
from tests.parts.debian import INSIDE, DebianRoot
from tests.parts.keycloak import Keycloak
from tests.parts.module import SOURCE
from tests.parts.needs import DEBOOTSTRAP, NAMESPACED_BINFMT, ROOT
from tests.parts.ports import free_port
from tests.parts.processes import Running, launch, wait_until

__all__ = [
    "INSIDE",
    "USER",
    "DebianServer",
    "compile_module",
    "debian_server",
    "inside",
    "make_database",
    "start_server",
]

USER = "nobody"
"""Has the same uid inside and outside; the service knows the server by it."""


@dataclass(frozen=True, slots=True)
class DebianServer:
    """A running server; `log` is its own."""

    major: int
    port: int
    ca_file: Path
    log_file: Path
    process: Running

    @property
    def log(self) -> str:
        """All that it has logged so far."""
        return self.log_file.read_text(errors="replace")

    def conninfo(self, role: str) -> str:
        """Verified TLS."""
        where = f"host=localhost port={self.port} dbname=appdb user={role}"
        return f"{where} sslmode=verify-full sslrootcert={self.ca_file}"


@pytest.fixture(scope="session", params=[(18, image.NATIVE), (19, image.NATIVE), (18, arm64.ARCHITECTURE)], ids=str)
def debian_server(
    request: pytest.FixtureRequest, need: Callable[..., None], keycloak: Keycloak, authority: Authority
) -> Iterator[DebianServer]:
    """PostgreSQL 18, then 19, then 18 for arm64, each with its own service."""
    need(ROOT, DEBOOTSTRAP, NAMESPACED_BINFMT)
    major, architecture = request.param
    uid, gid = pwd.getpwnam(USER)[2:4]
    folder = Path(tempfile.mkdtemp(prefix="pgbearer-debian-", dir="/tmp"))
    folder.chmod(0o755)
    work = folder / "server"
    work.mkdir()
    os.chown(work, uid, gid)
    root = image.compiler(major, architecture).with_bind(folder, INSIDE)
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, folder)
        serving = service.start(folder, keycloak.issuer(), authority.ca_file, postgres_uid=uid)
        undo.callback(serving.stop)
        compile_module(root, folder, image.PG_CONFIG.format(major=major), uid)
        server = start_server(major, root, folder, keycloak.issuer(), authority, uid)
        undo.callback(server.process.stop)
        make_database(root, server)
        yield server


def start_server(
    major: int, root: DebianRoot, folder: Path, issuer: str, authority: Authority, uid: int, *, more: str = ""
) -> DebianServer:
    """A server in `folder`, seen inside as `INSIDE`; `more` are lines of postgresql.conf."""
    programs = f"/usr/lib/postgresql/{major}/bin"
    inside(root, f"{programs}/initdb", "-D", f"{INSIDE}/server/data", "-U", "postgres", "-A", "trust", "--no-sync")
    certificate = authority.server(f"debian-{major}", owner=uid)
    for file in (certificate.cert_file, certificate.key_file):
        shutil.copy2(file, folder / "server")
        os.chown(folder / "server" / file.name, uid, -1)
    port = free_port()
    data = folder / "server" / "data"
    (data / "postgresql.auto.conf").write_text(_settings(port, f"{INSIDE}/server/debian-{major}") + more)
    (data / "pg_hba.conf").write_text(
        "local all postgres trust\n"
        f'hostssl all all samehost oauth issuer="{issuer}" scope="db:demo" delegate_ident_mapping=1\n'
        "host all all all reject\n"
    )
    log = folder / "server.log"
    process = launch(root.command(f"{programs}/postgres", "-D", f"{INSIDE}/server/data", user=USER), log=log)
    return DebianServer(major, port, authority.ca_file, log, process)


def make_database(root: DebianRoot, server: DebianServer) -> None:
    """Wait until it takes connections, and make what the policy speaks of."""
    alive = server.process.alive
    wait_until(lambda: "ready to accept connections" in server.log or not alive(), 60, "the server to start")
    assert alive(), server.log
    for sql in ("CREATE DATABASE appdb", "CREATE ROLE app_readonly LOGIN", "CREATE ROLE app_readwrite LOGIN"):
        inside(
            root,
            f"/usr/lib/postgresql/{server.major}/bin/psql",
            "-h",
            f"{INSIDE}/server",
            "-p",
            str(server.port),
            "-U",
            "postgres",
            "-c",
            sql,
        )


def _settings(port: int, certificate: str) -> str:
    return (
        f"port = {port}\n"
        "listen_addresses = 'localhost'\n"
        f"unix_socket_directories = '{INSIDE}/server'\n"
        "fsync = off\n"
        "ssl = on\n"
        f"ssl_cert_file = '{certificate}.crt'\n"
        f"ssl_key_file = '{certificate}.key'\n"
        f"dynamic_library_path = '{INSIDE}/server/module:$libdir'\n"
        "shared_preload_libraries = 'pgbearer'\n"
        "oauth_validator_libraries = 'pgbearer'\n"
        f"pgbearer.endpoints = 'unix:{service.login_socket(Path(INSIDE))}'\n"
    )


def compile_module(root: DebianRoot, folder: Path, pg_config: str, uid: int) -> None:
    """The module, by the root's own compiler."""
    shutil.copytree(SOURCE, folder / "source", ignore=shutil.ignore_patterns("*.o", "*.so"))
    (folder / "server" / "module").mkdir()
    os.chown(folder / "server" / "module", uid, -1)
    make = ["make", "-s", "-f", f"{INSIDE}/source/Makefile", f"PG_CONFIG={pg_config}", "COPT=-Werror"]
    inside(root, *make, folder=f"{INSIDE}/server/module")


def inside(root: DebianRoot, *words: str, folder: str = "/") -> None:
    """Run a program in the root, which must end well."""
    done = subprocess.run(root.command(*words, user=USER, folder=folder), capture_output=True, text=True)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
