"""The demo's database and service, with its policy and HBA lines, on the run's one Keycloak."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo import database, service
from tests.parts.authority import Authority
from tests.parts.keycloak import Keycloak
from tests.parts.needs import COMPILER
from tests.parts.ports import free_port
from tests.parts.postgres import Server
from tests.parts.processes import Running
from tests.parts.tls_postgres import TLS_LIBRARIES

__all__ = ["LoginStack", "stack"]


@dataclass(frozen=True, slots=True)
class LoginStack:
    """PostgreSQL over TLS, the module, the service and Keycloak, as one."""

    issuer: str
    ca_file: Path
    server: Server
    service: Running
    folder: Path

    @property
    def admin_socket(self) -> Path:
        """Where the service tells its reasons."""
        return service.admin_socket(self.folder)

    def logs(self) -> str:
        """Everything that PostgreSQL and the service have logged, and the audit."""
        files = [self.server.log_file, *sorted((self.folder / "log").iterdir())]
        return "".join(file.read_text(errors="replace") for file in files)


@pytest.fixture(scope="session")
def stack(need: Callable[..., None], keycloak: Keycloak, authority: Authority) -> Iterator[LoginStack]:
    """The demo's stack. Its database has a table, two roles and one row, as demo/database.py says."""
    need(COMPILER, TLS_LIBRARIES)
    folder = Path(tempfile.mkdtemp(prefix="pgbearer-e2e-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "postgres").mkdir()
    running = service.start(folder, keycloak.issuer(), authority.ca_file)
    try:
        server = database.start(
            database.choose(),
            folder / "postgres",
            authority,
            keycloak.issuer(),
            service.login_socket(folder),
            free_port(),
        )
        yield LoginStack(keycloak.issuer(), authority.ca_file, server, running, folder)
        server.remove()
    finally:
        running.stop()
        shutil.rmtree(folder)
