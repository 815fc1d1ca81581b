"""The module in PostgreSQL 18 and 19 as Debian builds them: with OpenSSL, GSSAPI and its compiler; 18 for arm64 too."""

import pytest

from pgbearer.client import AccessToken, TokenRefusedError, connect
from tests.e2e.fix_debian_server import DebianServer
from tests.e2e.fix_keycloak import Device, IssuedToken, person
from tests.parts.device_pages import approve
from tests.parts.keycloak import Keycloak

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def alice(device: Device, keycloak: Keycloak) -> AccessToken:
    codes = device.begin()
    approve(codes.verification_uri_complete, person("alice"), ca_file=keycloak.ca_file)
    token = device.poll(codes)
    assert isinstance(token, IssuedToken)
    return AccessToken(token.compact)


def test_login(debian_server: DebianServer, alice: AccessToken) -> None:
    with connect(debian_server.conninfo("app_readonly"), token=alice) as connection:
        row = connection.execute("SELECT system_user, current_user").fetchone()
        version = connection.info.server_version

    assert row is not None
    assert row[0].startswith("oauth:demo:")
    assert row[1] == "app_readonly"
    assert version // 10000 == debian_server.major


def test_refusal(debian_server: DebianServer, alice: AccessToken) -> None:
    before = len(debian_server.log)

    with pytest.raises(TokenRefusedError):
        connect(debian_server.conninfo("app_readwrite"), token=alice)

    assert "role_not_allowed" in debian_server.log[before:]
    assert alice.reveal() not in debian_server.log
