"""A Keycloak of its own whose tokens live seconds, with a database whose sessions end with the token."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from demo import database, service
from demo.policy import Addresses, policy_file
from tests.e2e.fix_keycloak import REALM_FILE
from tests.e2e.fix_stack import LoginStack
from tests.parts import keycloak as keycloak_part
from tests.parts.authority import Authority
from tests.parts.keycloak import Keycloak
from tests.parts.needs import COMPILER
from tests.parts.ports import free_port
from tests.parts.tls_postgres import TLS_LIBRARIES

__all__ = ["LIFE", "BriefStack", "brief"]

REALM: Final = "brief"
LIFE: Final = 20
"""Seconds that an access token is good."""
_SESSION: Final = "session: {until: sso, max: 10h}"
_MOST_CONNECTIONS: Final = 700


@dataclass(frozen=True, slots=True)
class BriefStack:
    """The stack, and the Keycloak that nobody else uses: a test may end it."""

    stack: LoginStack
    keycloak: Keycloak


@pytest.fixture(scope="module")
def brief(
    need: Callable[..., None], authority: Authority, admin_password: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BriefStack]:
    """The demo's parts with short-lived tokens; PostgreSQL takes 700 connections."""
    need(keycloak_part.RUNTIME, COMPILER, TLS_LIBRARIES)
    folder = Path(tempfile.mkdtemp(prefix="pgbearer-brief-", dir="/tmp"))
    folder.chmod(0o755)
    realm = tmp_path_factory.mktemp("realm") / f"{REALM}-realm.json"
    realm.write_text(_brief(REALM_FILE.read_text()))
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, folder)
        keycloak = keycloak_part.start(
            tmp_path_factory.mktemp("keycloak"), authority, [realm], admin_password=admin_password
        )
        undo.callback(keycloak.stop)
        running = service.start(folder, keycloak.issuer(REALM), authority.ca_file, written=_until_token)
        undo.callback(running.stop)
        (folder / "postgres").mkdir()
        place = (keycloak.issuer(REALM), service.login_socket(folder), free_port())
        server = database.start(database.choose(), folder / "postgres", authority, *place)
        undo.callback(server.remove)
        server.sql(f"ALTER SYSTEM SET max_connections = {_MOST_CONNECTIONS}")
        server.shut_down()
        server.start()
        yield BriefStack(LoginStack(keycloak.issuer(REALM), authority.ca_file, server, running, folder), keycloak)


def _brief(realm_text: str) -> str:
    realm = json.loads(realm_text) | {"realm": REALM, "accessTokenLifespan": LIFE}
    for client in realm["clients"]:
        if "access.token.lifespan" in client.get("attributes", {}):
            client["attributes"]["access.token.lifespan"] = str(LIFE)
    return json.dumps(realm)


def _until_token(addresses: Addresses) -> str:
    policy = policy_file(addresses)
    assert _SESSION in policy
    return policy.replace(_SESSION, "session: {until: token, max: 10h}")
