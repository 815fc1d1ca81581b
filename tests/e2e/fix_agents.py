"""The worked example of docs/agents.md with nothing played: its realm, policy, tool server, Keycloak, PostgreSQL."""

import importlib.util
import json
import re
import shutil
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from demo import database, service
from demo.policy import Addresses
from tests.e2e.admin_api import ask_admin
from tests.e2e.fix_keycloak import REALM_FILE, Device, IssuedToken, person
from tests.parts.authority import Authority
from tests.parts.device_pages import approve
from tests.parts.keycloak import Keycloak
from tests.parts.needs import COMPILER
from tests.parts.ports import free_port
from tests.parts.postgres import Server
from tests.parts.tls_postgres import TLS_LIBRARIES

__all__ = ["AgentStack", "agent_stack"]

REALM: Final = "agents"
EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "agents"


def _load_tool_server() -> ModuleType:
    """The example is no package: it is what somebody runs beside their assistant."""
    found = importlib.util.spec_from_file_location("tool_server", EXAMPLE / "tool_server.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["tool_server"] = module  # dataclasses look themselves up there
    found.loader.exec_module(module)
    return module


@dataclass(frozen=True, slots=True)
class AgentStack:
    """Everything that the example speaks of, running."""

    issuer: str
    ca_file: Path
    server: Server
    folder: Path
    tools: ModuleType
    admin: Callable[..., Any]
    """The realm's admin API: method, path below the realm, and what httpx takes."""

    @property
    def conninfo(self) -> str:
        """Of the database, without a user."""
        return f"host=localhost port={self.server.port} dbname=appdb sslmode=verify-full sslrootcert={self.ca_file}"

    def log_in(self, who: str, client: str, scope: str = "openid") -> IssuedToken:
        """A token of a person's, by the device flow of `client`, on Keycloak's own pages."""
        device = Device(self.issuer, self.ca_file, client)
        try:
            codes = device.begin(scope)
            approve(codes.verification_uri_complete, person(who), ca_file=self.ca_file)
            token = device.poll(codes)
        finally:
            device.close()
        assert isinstance(token, IssuedToken), token
        return token

    def exchange(self, subject: IssuedToken, **changes: Any) -> Any:
        """How the tool server gets its token: `tool_server.Exchange`."""
        client = next(one for one in _overlay()["clients"] if one["clientId"] == "notes-tools")
        usual = {"client_id": client["clientId"], "client_secret": client["secret"], "subject_token": subject.compact}
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        return self.tools.Exchange(self.issuer, trust=trust, **(usual | changes))

    @contextmanager
    def without_the_groups(self) -> Iterator[None]:
        """As if nobody had given the tool server's client the mapper for groups."""
        (client,) = self.admin("GET", "/clients", params={"clientId": "notes-tools"})
        (scope,) = (one for one in self.admin("GET", "/client-scopes") if one["name"] == "groups")
        path = f"/clients/{client['id']}/default-client-scopes/{scope['id']}"
        self.admin("DELETE", path)
        try:
            yield
        finally:
            self.admin("PUT", path)

    def decision(self) -> dict[str, Any]:
        """The last one of the audit."""
        lines = (self.folder / "log" / "audit.jsonl").read_text().splitlines()
        decisions = [entry for entry in map(json.loads, lines) if "decision" in entry]
        return dict(decisions[-1])


@pytest.fixture(scope="module")
def agent_stack(
    need: Callable[..., None], keycloak: Keycloak, admin_password: str, authority: Authority
) -> Iterator[AgentStack]:
    """One for the tests of a file; the realm is made through the admin API and deleted again."""
    need(COMPILER, TLS_LIBRARIES)
    ask_admin(keycloak, admin_password, "", "POST", "", json=_realm())
    folder = Path(tempfile.mkdtemp(prefix="pgbearer-agents-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "postgres").mkdir()
    issuer, sockets = keycloak.issuer(REALM), service.login_socket(folder)
    running = service.start(folder, issuer, authority.ca_file, written=_policy)
    try:
        server = database.start(database.choose(), folder / "postgres", authority, issuer, sockets, free_port())
        admin = partial(ask_admin, keycloak, admin_password, f"/{REALM}")
        yield AgentStack(issuer, authority.ca_file, server, folder, _load_tool_server(), admin)
        server.remove()
    finally:
        running.stop()
        shutil.rmtree(folder)
        ask_admin(keycloak, admin_password, f"/{REALM}", "DELETE", "")


def _overlay() -> dict[str, Any]:
    overlay: dict[str, Any] = json.loads((EXAMPLE / "realm.json").read_text())
    return overlay


def _realm() -> dict[str, Any]:
    """The demo's realm with what the example adds to it, and carol among those who leave."""
    realm: dict[str, Any] = json.loads(REALM_FILE.read_text()) | {"realm": REALM}
    overlay = _overlay()
    realm["clientScopes"] += overlay["clientScopes"]
    realm["clients"] += overlay["clients"]
    realm["clientScopeMappings"]["postgres"] += overlay["clientScopeMappings"]["postgres"]
    realm["groups"] = [{"name": "leavers"}, {"name": "staff"}]
    (device,) = (client for client in realm["clients"] if client["clientId"] == "pgbearer-device")
    device["defaultClientScopes"].append("groups")
    for user in realm["users"]:
        if user["username"] == "carol":
            user |= {"groups": ["/leavers"], "clientRoles": {"postgres": ["app_readonly"]}}
    return realm


def _policy(addresses: Addresses) -> str:
    """The example's policy, at the addresses of this run."""
    text = (EXAMPLE / "pgbearer.yaml").read_text()
    socket = f"{{socket: {addresses.run}/login/login.sock, uid: {addresses.postgres_uid}}}"
    text = re.sub(r"\{socket: .*\}", socket, text)
    issuer = f"issuer: {addresses.issuer}\n    ca_file: {addresses.ca_file}"
    text = text.replace("issuer: https://sso.example.com/realms/corp", issuer)
    places = {
        "audit": {"file": f"{addresses.log}/audit.jsonl"},
        "admin": {"socket": f"{addresses.run}/admin/admin.sock"},
        "state": {"folder": str(addresses.state)},
        "http": {"address": addresses.http},
    }
    return text + "".join(f"{name}: {json.dumps(value)}\n" for name, value in places.items())
