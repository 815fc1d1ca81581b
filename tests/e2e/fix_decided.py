"""PostgreSQL, the module and the service on the run's Keycloak, deciding by the settings that docs/deciders shows."""

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import pytest
import yaml

from demo import database
from tests import oauth_token
from tests.e2e.fix_keycloak import IssuedToken
from tests.parts.authority import Authority
from tests.parts.cerbos import Cerbos
from tests.parts.keycloak import Keycloak
from tests.parts.needs import COMPILER
from tests.parts.opa import Opa
from tests.parts.ports import free_port
from tests.parts.postgres import Server, server_uid
from tests.parts.processes import launch, wait_until
from tests.parts.tls_postgres import TLS_LIBRARIES

__all__ = ["Decided", "decided", "settings_on"]

DOCS: Final = Path(__file__).parents[2] / "docs" / "deciders"
PGBEARER: Final = Path(sys.executable).with_name("pgbearer")
SECRET: Final = "demo-secret-postgres-never-in-production"


def settings_on(page: str, heading: str) -> Mapping[str, Any]:
    """The first settings below a heading of a page in docs/deciders."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    below = text[re.search(rf"^#+ {re.escape(heading)}$", text, re.MULTILINE).end() :]  # type: ignore[union-attr]
    shown: Mapping[str, Any] = yaml.safe_load(re.search(r"```yaml\n(.*?)```", below, re.DOTALL)[1])  # type: ignore[index]
    return shown


@dataclass
class Decided:
    """One database server; what decides about its logins is another service from time to time."""

    keycloak: Keycloak
    server: Server
    folder: Path
    places: Mapping[str, str]
    """What stands in the pages, and what stands for it here: addresses and files."""
    running: bool = False

    @contextmanager
    def by(self, shown: Mapping[str, Any]) -> Iterator[None]:
        """Until the end of the block a service decides by these settings, the only one; its audit begins anew."""
        assert not self.running, "another service decides"
        self.running = True
        for old in ("audit.jsonl", "state"):
            path = self.folder / old
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        file = self.folder / "pgbearer.yaml"
        file.write_text(self._text(shown))
        file.chmod(0o600)
        log = self.folder / "service.log"
        service = launch([PGBEARER, "serve", "-c", file], log=log)
        try:
            wait_until(lambda: self._ready() or not service.alive(), 60, "the service to be ready", pause=0.05)
            assert service.alive(), log.read_text()
            yield
        finally:
            service.stop()
            self.running = False

    def login(self, token: IssuedToken, role: str) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection to appdb; raises psycopg.OperationalError if it is refused."""
        return oauth_token.connect(
            token.compact,
            issuer=self.keycloak.issuer(),
            host="localhost",
            port=self.server.port,
            dbname="appdb",
            user=role,
            sslmode="verify-full",
            sslrootcert=str(self.keycloak.ca_file),
        )

    def reason(self, token: IssuedToken, role: str) -> str:
        """How a login ends: ``allowed``, or the reason in the record, which is all that is known of a refusal."""
        before = len(self.decisions())
        try:
            with self.login(token, role) as connection:
                (current,) = connection.execute("SELECT current_user").fetchone() or ("",)
                assert current == role
            let_in = True
        except psycopg.OperationalError as error:
            assert "OAuth bearer authentication failed" in str(error)  # noqa: PT017
            let_in = False
        *_, record = self.decisions()
        assert len(self.decisions()) == before + 1
        assert (record["decision"] == "allow") == let_in
        return str(record["reason"])

    def decisions(self) -> list[dict[str, Any]]:
        """The records of this service."""
        lines = (self.folder / "audit.jsonl").read_text().splitlines()
        return [line for line in map(json.loads, lines) if line["kind"] == "decision"]

    @property
    def admin_socket(self) -> Path:
        """Where this service tells why."""
        return self.folder / "admin" / "admin.sock"

    def logs(self) -> str:
        """All that the service said, recorded, and PostgreSQL logged."""
        files = (self.folder / "service.log", self.folder / "audit.jsonl", self.server.log_file)
        return "".join(file.read_text(errors="replace") for file in files)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.places['PORT']}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def _text(self, shown: Mapping[str, Any]) -> str:
        whole = json.dumps({**_head(self.folder, self.places["PORT"]), **shown})
        for place, here in self.places.items():
            whole = whole.replace(place, here)
        return whole


def _head(folder: Path, port: str) -> Mapping[str, Any]:
    """What every settings file has beside its deciders and rules; for the demo's realm."""
    return {
        "version": 1,
        "servers": {"pay-eu": {"socket": str(folder / "login" / "login.sock"), "uid": server_uid()}},
        "issuers": {
            "corp": {
                "profile": "keycloak",
                "issuer": "https://sso.example.com/realms/corp",
                "ca_file": "/etc/pgbearer/ca.crt",
                "audience": "db:demo",
                "clients": ["pgbearer-cli", "pgbearer-device"],
                "identity": "corp:{sub}",
                "token_roles": ["resource_access", "postgres", "roles"],
                "claims": {"acr": "string"},
            }
        },
        "defaults": {"session": {"until": "sso", "max": "10h"}},
        "audit": {"file": str(folder / "audit.jsonl")},
        "admin": {"socket": str(folder / "admin" / "admin.sock")},
        "state": {"folder": str(folder / "state")},
        "http": {"address": f"127.0.0.1:{port}"},
    }


@pytest.fixture(scope="session")
def decided(
    need: Callable[..., None], keycloak: Keycloak, cerbos: Cerbos, opa: Opa, authority: Authority
) -> Iterator[Decided]:
    """The server, and no service yet."""
    need(COMPILER, TLS_LIBRARIES)
    folder = Path(tempfile.mkdtemp(prefix="pgbearer-decided-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "postgres").mkdir()
    secret = folder / "postgres-secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    places = {
        "https://sso.example.com/realms/corp": keycloak.issuer(),
        "https://cerbos.example.com": cerbos.url,
        "https://opa.example.com": opa.url,
        "/etc/pgbearer/ca.crt": str(authority.ca_file),
        "/etc/pgbearer/postgres-secret": str(secret),
        "PORT": str(free_port()),
    }
    where = (folder / "postgres", authority, keycloak.issuer(), folder / "login" / "login.sock", free_port())
    server = database.start(database.choose(), *where)
    try:
        yield Decided(keycloak, server, folder, places)
    finally:
        server.remove()
        shutil.rmtree(folder)
