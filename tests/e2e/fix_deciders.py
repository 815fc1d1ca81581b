"""Real deciders for the run: Cerbos and OPA with the policies in examples/; Keycloak is the run's own."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.fix_keycloak import Device, IssuedToken, person
from tests.parts import cerbos as cerbos_part
from tests.parts import opa as opa_part
from tests.parts.authority import Authority
from tests.parts.cerbos import Cerbos
from tests.parts.device_pages import approve
from tests.parts.keycloak import ADMIN, Keycloak
from tests.parts.needs import NPM, X86_64
from tests.parts.opa import Opa

__all__ = ["EXAMPLES", "cerbos", "end_session", "fresh", "opa", "people"]

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def cerbos(
    need: Callable[..., None], authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cerbos]:
    """Cerbos with examples/cerbos."""
    need(NPM, X86_64)
    running = cerbos_part.start(tmp_path_factory.mktemp("cerbos"), authority, EXAMPLES / "cerbos")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def opa(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opa]:
    """OPA with examples/opa."""
    running = opa_part.start(tmp_path_factory.mktemp("opa"), authority, [EXAMPLES / "opa"])
    yield running
    running.stop()


@pytest.fixture(scope="module")
def people(keycloak: Keycloak) -> Callable[[str], IssuedToken]:
    """A token of one of the demo realm's people, who each log in once for a file: tokens live five minutes."""
    known: dict[str, IssuedToken] = {}

    def log_in(username: str) -> IssuedToken:
        if username not in known:
            known[username] = _log_in(keycloak, username)
        return known[username]

    return log_in


@pytest.fixture
def fresh(keycloak: Keycloak) -> Callable[[str], IssuedToken]:
    """A token of a session that no other test has."""
    return lambda username: _log_in(keycloak, username)


@pytest.fixture
def end_session(keycloak: Keycloak, admin_password: str) -> Callable[[IssuedToken], None]:
    """End the session of a token, as an administrator of Keycloak does."""

    def end(token: IssuedToken) -> None:
        trust = ssl.create_default_context(cafile=str(keycloak.ca_file))
        form = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN, "password": admin_password}
        with httpx.Client(verify=trust, timeout=30) as http:
            answer = http.post(f"{keycloak.issuer('master')}/protocol/openid-connect/token", data=form)
            headers = {"authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}
            url = f"{keycloak.url}/admin/realms/demo/sessions/{token.payload['sid']}"
            http.delete(url, headers=headers).raise_for_status()

    return end


def _log_in(keycloak: Keycloak, username: str) -> IssuedToken:
    device = Device(keycloak.issuer(), keycloak.ca_file)
    try:
        codes = device.begin()
        approve(codes.verification_uri_complete, person(username), ca_file=keycloak.ca_file)
        token = device.poll(codes)
    finally:
        device.close()
    assert isinstance(token, IssuedToken), token
    return token
