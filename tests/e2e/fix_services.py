"""A realm with services that prove themselves in every way, and PostgreSQL with the module and a service for them."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

import pgbearer.client
from pgbearer.client import TokenSource
from tests.e2e.admin_api import ask_admin
from tests.e2e.fix_keycloak import REALM_FILE
from tests.integration.fix_chain import Chain, whole_chain
from tests.issuer import SigningKey
from tests.klite.cluster import Cluster
from tests.parts.authority import Authority
from tests.parts.keycloak import Keycloak
from tests.parts.needs import COMPILER
from tests.parts.postgres import Installation

__all__ = ["KEYS", "SECRET", "Services", "pod_cluster", "services"]

REALM: Final = "services"
SECRET: Final = "of the realm services: with + and %"
KEYS: Final = {name: SigningKey(f"key-{name}", name) for name in ("RS256", "PS256", "ES256", "ES384", "EdDSA")}
"""One of each kind, all of the client ``by-key``."""
_POD: Final = "system:serviceaccount:shop:orders"


@dataclass
class Services:
    """The realm and the database."""

    issuer: str
    ca_file: Path
    chain: Chain
    folder: Path
    admin: Callable[..., Any]
    """The realm's admin API: method, path below the realm, and what httpx takes."""

    def login(self, source: TokenSource, role: str = "app_readonly") -> psycopg.Connection[Any]:
        """Connect as a program does that has this source and nothing else."""
        server = self.chain.server
        where: dict[str, Any] = {"host": str(server.folder), "port": server.port, "user": role, "dbname": "appdb"}
        return pgbearer.client.connect(source=source, **where)

    def who(self, source: TokenSource) -> str:
        """The client whose own account has logged in."""
        with self.login(source) as connection:
            (user,) = connection.execute("SELECT system_user").fetchone() or ("",)
        subject = str(user).rpartition(":")[2]
        account = self.admin("GET", f"/users/{subject}")
        return str(account["username"]).removeprefix("service-account-")

    def private(self, name: str, content: str | bytes) -> Path:
        """A file that only this user can read, written by a rename, as a rotation is."""
        file = self.folder / name
        new = file.with_name(f"{name}.new")
        new.touch(0o600)
        new.write_bytes(content.encode() if isinstance(content, str) else content)
        return new.rename(file)


@pytest.fixture(scope="session")
def pod_cluster(
    need: Callable[..., None], authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """An API server whose keys Keycloak can fetch, with the service accounts ``shop/orders`` and ``shop/billing``."""
    need(COMPILER)
    folder = tmp_path_factory.mktemp("pod-cluster")
    with Cluster.start(folder, authority, at_its_own_address=True) as running:
        running.namespace("shop")
        for account in ("orders", "billing"):
            running.account("shop", account)
        yield running


@pytest.fixture(scope="module")
def services(
    keycloak: Keycloak, admin_password: str, authority: Authority, postgres: Installation, pod_cluster: Cluster
) -> Iterator[Services]:
    """One for the tests of a file; the realm is made through the admin API and deleted again."""
    issuer, admin = keycloak.issuer(REALM), partial(ask_admin, keycloak, admin_password, f"/{REALM}")
    ask_admin(keycloak, admin_password, "", "POST", "", json=_realm(pod_cluster.issuer))
    hba = [f'local all app_readonly oauth issuer="{issuer}" scope="db:demo" delegate_ident_mapping=1']
    folder = Path(tempfile.mkdtemp(prefix="pgbearer-services-", dir="/tmp"))
    try:
        with whole_chain(postgres, authority, hba=hba, **_settings(issuer, authority.ca_file)) as chain:
            yield Services(issuer, authority.ca_file, chain, folder, admin)
    finally:
        shutil.rmtree(folder)
        admin("DELETE", "")


def _settings(issuer: str, ca_file: Path) -> dict[str, Any]:
    """The sections of pgbearer.yaml that are not as usual."""
    ours = {
        "profile": "keycloak",
        "issuer": issuer,
        "audience": "db:demo",
        "clients": [client["clientId"] for client in _clients()],
        "identity": "services:{sub}",
        "token_roles": ["resource_access", "postgres", "roles"],
        "ca_file": str(ca_file),
    }
    rule = {"name": "services", "any_role": ["app_readonly"], "databases": ["appdb"], "roles": ["app_readonly"]}
    return {
        "issuers": {"services": ours},
        "defaults": {"session": {"until": "token", "max": "1h"}},
        "rules": [rule],
    }


def _clients() -> list[dict[str, Any]]:
    keys = {"keys": [key.jwk() for key in KEYS.values()]}
    return [
        _client("by-secret", "client-secret", secret=SECRET),
        _client("by-key", "client-jwt", {"use.jwks.string": "true", "jwks.string": json.dumps(keys)}),
        _client("by-certificate", "client-x509", {"x509.subjectdn": "CN=by-certificate"}),
        _client("by-pod", "federated-jwt", {"jwt.credential.issuer": "cluster", "jwt.credential.sub": _POD}),
    ]


def _client(name: str, how: str, attributes: dict[str, str] | None = None, **members: Any) -> dict[str, Any]:
    return {
        "clientId": name,
        "clientAuthenticatorType": how,
        "publicClient": False,
        "standardFlowEnabled": False,
        "serviceAccountsEnabled": True,
        "fullScopeAllowed": False,
        "defaultClientScopes": ["basic", "roles"],
        "optionalClientScopes": ["db:demo"],
        "attributes": {
            "access.token.header.type.rfc9068": "true",
            "access.token.lifespan": "300",
            **(attributes or {}),
        },
        **members,
    }


def _realm(cluster: str) -> dict[str, Any]:
    """The demo's, with the services, and the cluster as who vouches for its pods."""
    realm: dict[str, Any] = json.loads(REALM_FILE.read_text()) | {"realm": REALM}
    names = [client["clientId"] for client in _clients()]
    realm["clients"] += [
        *_clients(),
        _client("without-account", "client-secret", secret=SECRET, serviceAccountsEnabled=False),
    ]
    realm["users"] += [
        {
            "username": f"service-account-{name}",
            "enabled": True,
            "serviceAccountClientId": name,
            "clientRoles": {"postgres": ["app_readonly"]},
        }
        for name in names
    ]
    realm["clientScopeMappings"]["postgres"] += [{"client": name, "roles": ["app_readonly"]} for name in names]
    kubernetes = {"alias": "cluster", "providerId": "kubernetes", "enabled": True, "config": {"issuer": cluster}}
    return realm | {"identityProviders": [kubernetes]}
