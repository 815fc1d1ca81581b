"""One real Keycloak for the run, with the realm that people import, and a device that logs in to it."""

import base64
import json
import secrets
import ssl
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts import keycloak as keycloak_part
from tests.parts.authority import Authority
from tests.parts.device_pages import Person, approve
from tests.parts.keycloak import Keycloak

__all__ = [
    "Codes",
    "Device",
    "IssuedToken",
    "admin_password",
    "authority",
    "device",
    "hasty_device",
    "issue",
    "keycloak",
    "person",
]

REALM_FILE = Path(__file__).parents[2] / "keycloak-realm" / "demo-realm.json"
_ROTATING = {"realm": "rotating", "revokeRefreshToken": True, "refreshTokenMaxReuse": 0}
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True, slots=True)
class Codes:
    """A device authorization response (RFC 8628 section 3.2)."""

    device_code: str = field(repr=False)
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """An access token as it was issued, with its parts decoded and unverified; the token itself is never shown."""

    compact: str = field(repr=False)
    header: dict[str, Any]
    payload: dict[str, Any]


class Device:
    """The side of the device grant that a command line plays, against one realm."""

    def __init__(self, issuer: str, ca_file: Path, client_id: str = "pgbearer-device") -> None:
        self._endpoint = f"{issuer}/protocol/openid-connect"
        self._client_id = client_id
        self._http = httpx.Client(verify=ssl.create_default_context(cafile=str(ca_file)), timeout=30)

    def begin(self, scope: str = "db:demo") -> Codes:
        """Ask for codes; raises httpx.HTTPStatusError if the client may not."""
        reply = self._http.post(f"{self._endpoint}/auth/device", data={"client_id": self._client_id, "scope": scope})
        reply.raise_for_status()
        return Codes(**reply.json())

    def poll(self, codes: Codes) -> IssuedToken | str:
        """Ask once for the token: the token, or the error code of RFC 8628 section 3.5."""
        form = {"client_id": self._client_id, "grant_type": DEVICE_GRANT, "device_code": codes.device_code}
        answer = self._http.post(f"{self._endpoint}/token", data=form).json()
        if "error" in answer:
            return str(answer["error"])
        compact = answer["access_token"]
        header, payload, _ = compact.split(".")
        return IssuedToken(compact, _decode(header), _decode(payload))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def person(username: str) -> Person:
    """One of the demo realm's people."""
    return Person(username, f"demo-password-{username}")


def issue(keycloak: Keycloak, who: str = "alice") -> IssuedToken:
    """A fresh token for the database, which one of the people gets by a device."""
    device = Device(keycloak.issuer(), keycloak.ca_file)
    codes = device.begin("openid db:demo")
    approve(codes.verification_uri_complete, person(who), ca_file=keycloak.ca_file)
    issued = device.poll(codes)
    device.close()
    assert isinstance(issued, IssuedToken)
    return issued


@pytest.fixture(scope="session")
def authority() -> Iterator[Authority]:
    """The certificate authority of this run, where PostgreSQL's uid can read it (pytest's own folders are 0700)."""
    with tempfile.TemporaryDirectory(prefix="pgbearer-authority-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Authority(Path(folder))


@pytest.fixture(scope="session")
def admin_password() -> str:
    """Of the administrator of the realm ``master``."""
    return secrets.token_urlsafe(16)


@pytest.fixture(scope="session")
def keycloak(
    need: Callable[..., None], authority: Authority, admin_password: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Keycloak]:
    """Keycloak with the realm ``demo``; the same as ``hasty``, whose codes live one second, and as ``rotating``.

    In ``rotating`` a refresh token is good once.
    """
    need(keycloak_part.RUNTIME)
    hasty = tmp_path_factory.mktemp("realms") / "hasty-realm.json"
    hasty.write_text(_hasty(REALM_FILE.read_text()))
    rotating = hasty.with_name("rotating-realm.json")
    rotating.write_text(json.dumps(json.loads(REALM_FILE.read_text()) | _ROTATING))
    folder = tmp_path_factory.mktemp("keycloak")
    running = keycloak_part.start(folder, authority, [REALM_FILE, hasty, rotating], admin_password=admin_password)
    yield running
    running.stop()


@pytest.fixture
def device(keycloak: Keycloak) -> Iterator[Device]:
    """A device that logs in to the realm ``demo`` as the client pgbearer-device."""
    device = Device(keycloak.issuer(), keycloak.ca_file)
    yield device
    device.close()


@pytest.fixture
def hasty_device(keycloak: Keycloak) -> Iterator[Device]:
    """A device whose codes live one second."""
    device = Device(keycloak.issuer("hasty"), keycloak.ca_file)
    yield device
    device.close()


def _hasty(realm_text: str) -> str:
    realm = json.loads(realm_text) | {"realm": "hasty"}
    (device,) = (client for client in realm["clients"] if client["clientId"] == "pgbearer-device")
    device["attributes"] |= {"oauth2.device.code.lifespan": "1", "oauth2.device.polling.interval": "1"}
    return json.dumps(realm)


def _decode(segment: str) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return decoded
