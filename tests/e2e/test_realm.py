"""The realm that people import, in a real Keycloak: what a device login yields for each of its people."""

import ssl
from collections.abc import Callable

import httpx
import pytest

from tests.e2e.fix_keycloak import Device, IssuedToken, person
from tests.parts.device_pages import PagesError, Person, approve, deny
from tests.parts.keycloak import Keycloak
from tests.parts.processes import wait_until

Login = Callable[[str], IssuedToken]


@pytest.fixture
def login(device: Device, keycloak: Keycloak) -> Login:
    def log_in(username: str) -> IssuedToken:
        codes = device.begin()
        approve(codes.verification_uri_complete, person(username), ca_file=keycloak.ca_file)
        token = device.poll(codes)
        assert isinstance(token, IssuedToken), token
        return token

    return log_in


@pytest.mark.parametrize(
    ("username", "roles"),
    [("alice", ["app_readonly"]), ("bob", ["app_readonly", "app_readwrite"]), ("carol", [])],
)
def test_token_carries_the_roles_of_its_user(login: Login, username: str, roles: list[str]) -> None:
    payload = login(username).payload

    assert sorted(payload.get("resource_access", {}).get("postgres", {}).get("roles", [])) == roles
    assert payload["preferred_username"] == username


@pytest.mark.parametrize("username", ["alice", "carol"])
def test_token_is_an_access_token_for_this_database_only(login: Login, keycloak: Keycloak, username: str) -> None:
    token = login(username)

    assert token.header["typ"] == "at+jwt"
    assert token.header["alg"] == "RS256"
    claims = {name: token.payload[name] for name in ("iss", "aud", "azp", "typ")}
    assert claims == {"iss": keycloak.issuer(), "aud": "db:demo", "azp": "pgbearer-device", "typ": "Bearer"}
    assert token.payload["exp"] - token.payload["iat"] == 300
    assert token.payload["sub"]
    assert token.payload["sid"]
    assert "db:demo" in token.payload["scope"].split()


def test_subject_stays_the_same_and_the_session_does_not(login: Login) -> None:
    first, second = login("alice").payload, login("alice").payload

    assert first["sub"] == second["sub"]
    assert first["sid"] != second["sid"]


def test_token_without_the_scope_is_good_at_no_database(device: Device, keycloak: Keycloak) -> None:
    codes = device.begin(scope="openid")
    approve(codes.verification_uri_complete, person("bob"), ca_file=keycloak.ca_file)

    token = device.poll(codes)

    assert isinstance(token, IssuedToken)
    assert "aud" not in token.payload


def test_consent_says_database_login(device: Device, keycloak: Keycloak) -> None:
    codes = device.begin()

    visit = approve(codes.verification_uri, person("alice"), ca_file=keycloak.ca_file, user_code=codes.user_code)

    assert visit.consents == ("database login",)
    assert "Successful" in visit.outcome


def test_consent_is_asked_for_every_time(device: Device, keycloak: Keycloak) -> None:
    for _ in range(2):
        codes = device.begin()
        assert approve(codes.verification_uri_complete, person("bob"), ca_file=keycloak.ca_file).consents


def test_codes_live_two_minutes_and_are_polled_every_five_seconds(device: Device) -> None:
    codes = device.begin()

    assert (codes.expires_in, codes.interval) == (120, 5)
    assert device.poll(codes) == "authorization_pending"


def test_polling_too_fast_is_told_to_slow_down(device: Device) -> None:
    codes = device.begin()
    device.poll(codes)

    assert device.poll(codes) == "slow_down"


def test_refused_consent_is_access_denied(device: Device, keycloak: Keycloak) -> None:
    codes = device.begin()

    visit = deny(codes.verification_uri_complete, person("alice"), ca_file=keycloak.ca_file)

    assert "denied" in visit.outcome
    assert device.poll(codes) == "access_denied"


def test_codes_are_good_once(device: Device, login: Login, keycloak: Keycloak) -> None:
    codes = device.begin()
    approve(codes.verification_uri_complete, person("alice"), ca_file=keycloak.ca_file)
    assert isinstance(device.poll(codes), IssuedToken)

    assert device.poll(codes) == "invalid_grant"


def test_expired_codes_are_refused(hasty_device: Device, keycloak: Keycloak) -> None:
    codes = hasty_device.begin()

    wait_until(
        lambda: hasty_device.poll(codes) not in {"authorization_pending", "slow_down"}, 30, "codes to expire", pause=1.1
    )

    assert hasty_device.poll(codes) in {"expired_token", "invalid_grant"}
    with pytest.raises(PagesError, match=r"expired|Invalid code"):
        approve(codes.verification_uri_complete, person("alice"), ca_file=keycloak.ca_file)


def test_wrong_password_is_told_on_the_page(device: Device, keycloak: Keycloak) -> None:
    codes = device.begin()

    with pytest.raises(PagesError, match="Invalid username or password"):
        approve(codes.verification_uri_complete, Person("carol", "wrong"), ca_file=keycloak.ca_file)


def test_unknown_code_is_told_on_the_page(keycloak: Keycloak, device: Device) -> None:
    uri = device.begin().verification_uri

    with pytest.raises(PagesError, match="Invalid code"):
        approve(uri, person("alice"), ca_file=keycloak.ca_file, user_code="AAAA-BBBB")


@pytest.mark.parametrize("client_id", ["pgbearer-cli", "postgres", "admin-cli", "account", "nobody"])
def test_no_other_client_may_start_a_device_login(keycloak: Keycloak, client_id: str) -> None:
    other = Device(keycloak.issuer(), keycloak.ca_file, client_id)

    with pytest.raises(httpx.HTTPStatusError, match=r"40[01]"):
        other.begin()
    other.close()


@pytest.mark.parametrize(
    ("username", "role", "granted"),
    [
        ("alice", "app_readonly", True),
        ("alice", "app_readwrite", False),
        ("bob", "app_readwrite", True),
        ("carol", "app_readonly", False),
    ],
)
def test_authorization_services_know_the_same_roles(
    login: Login, keycloak: Keycloak, username: str, role: str, granted: bool
) -> None:
    reply = httpx.post(
        f"{keycloak.issuer()}/protocol/openid-connect/token",
        headers={"Authorization": f"Bearer {login(username).compact}"},
        data={
            "grant_type": "urn:ietf:params:oauth:grant-type:uma-ticket",
            "audience": "postgres",
            "permission": f"appdb#{role}",
            "response_mode": "decision",
        },
        verify=ssl.create_default_context(cafile=str(keycloak.ca_file)),
    )

    assert reply.status_code == (200 if granted else 403), reply.json()
