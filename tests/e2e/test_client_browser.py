"""A login with a browser at a real Keycloak: its pages, its session, how it is renewed and how it ends."""

import json
import ssl
import time
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from pgbearer.client import LoginEndedError, LoginRefusedError, audience_in, claims_in
from pgbearer.client.grant import Grant
from pgbearer.client.login.browser import code_login
from pgbearer.client.login.logout import logout
from pgbearer.client.login.loopback import Loopback
from pgbearer.client.login.refresh import refresh
from pgbearer.client.login.request import BROWSER_CLIENT, LoginRequest
from pgbearer.client.login.steps import run
from pgbearer.http import SyncFetcher
from tests.e2e.fix_keycloak import person
from tests.parts.device_pages import Browser, Visit
from tests.parts.keycloak import ADMIN, Keycloak

SCOPE = "openid db:demo"


class Desk:
    """A person with a browser, at a machine where we log them in."""

    def __init__(self, keycloak: Keycloak, browser: Browser, realm: str = "demo") -> None:
        self.keycloak = keycloak
        self.browser = browser
        self.request = LoginRequest(keycloak.issuer(realm), BROWSER_CLIENT, SCOPE)
        self.visits: list[Visit] = []

    def log_in(self, request: LoginRequest | None = None, detour: Callable[[str], str] = lambda url: url) -> Grant:
        """Log in; the browser goes to what `detour` makes of the address."""

        def browse(url: str) -> None:
            self.visits.append(self.browser.visit(detour(url)))

        with Loopback(browse) as loopback:
            asked = request or self.request
            steps = code_login(asked, redirect_uri=loopback.redirect_uri, wall=time.time, patience=60)
            with self._fetcher() as fetcher:
                return run(steps, fetcher, browser=loopback)

    def renew(self, grant: Grant) -> Grant:
        """Renew it."""
        with self._fetcher() as fetcher:
            return run(refresh(self.request, grant, wall=time.time), fetcher)

    def log_out(self, grant: Grant) -> None:
        """End it."""
        with self._fetcher() as fetcher:
            run(logout(self.request, grant), fetcher)

    def _fetcher(self) -> SyncFetcher:
        return SyncFetcher(self.keycloak.ca_file, timeout=20)


@pytest.fixture
def desk(keycloak: Keycloak) -> Iterator[Desk]:
    with Browser(person("alice"), keycloak.ca_file) as browser:
        yield Desk(keycloak, browser)


@pytest.fixture
def rotating_desk(keycloak: Keycloak) -> Iterator[Desk]:
    with Browser(person("alice"), keycloak.ca_file) as browser:
        yield Desk(keycloak, browser, "rotating")


def session(grant: Grant) -> str:
    return str(claims_in(grant.access)["sid"])


# the login


def test_a_login_with_a_browser(desk: Desk) -> None:
    grant = desk.log_in()
    claims = claims_in(grant.access)
    assert (claims["preferred_username"], claims["azp"]) == ("alice", "pgbearer-cli")
    assert audience_in(grant.access) == ("db:demo",)
    assert grant.access.expires_at is not None
    assert grant.refresh_expires_at is not None
    assert 240 < grant.access.expires_at - time.time() <= 300
    assert 1_700 < grant.refresh_expires_at - time.time() <= 1_800
    (visit,) = desk.visits
    assert {"username", "password"} <= set(visit.fields)
    assert "You may close this window" in visit.outcome


def test_the_same_session_logs_in_without_asking_again(desk: Desk) -> None:
    first, second = desk.log_in(), desk.log_in()
    assert session(first) == session(second)
    assert desk.visits[1].fields == ()


def test_a_login_that_keycloak_refuses_says_why(desk: Desk) -> None:
    request = LoginRequest(desk.request.issuer, BROWSER_CLIENT, "openid no-such-scope")
    with pytest.raises(LoginRefusedError, match="scope does not exist") as caught:
        desk.log_in(request)
    assert caught.value.error == "invalid_scope"
    assert "did not succeed" in desk.visits[0].outcome


def test_another_verifiers_code_is_refused_by_keycloak(desk: Desk) -> None:
    def thief(url: str) -> str:
        challenge = parse_qs(urlsplit(url).query)["code_challenge"][0]
        return url.replace(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")  # of RFC 7636's own example

    with pytest.raises(LoginRefusedError, match="does not take the code") as caught:
        desk.log_in(detour=thief)
    assert caught.value.error == "invalid_grant"
    assert "PKCE" in str(caught.value)


@pytest.mark.parametrize("instead", ["", "&code_challenge_method=plain"])
def test_keycloak_wants_the_proof(desk: Desk, instead: str) -> None:
    with pytest.raises(LoginRefusedError, match="did not understand the request"):
        desk.log_in(detour=lambda url: url.replace("&code_challenge_method=S256", instead))


@pytest.mark.parametrize(
    ("redirect_uri", "known"),
    [
        ("http://127.0.0.1:1/callback", True),
        ("http://127.0.0.1:65535/callback", True),
        ("http://127.0.0.1:1/", False),
        ("http://127.0.0.1:1/callback/x", False),
        ("http://127.0.0.1:1/callback?x=1", False),
        ("http://localhost:1/callback", False),
        ("http://[::1]:1/callback", False),
        ("http://127.0.0.1.evil.test/callback", False),
        ("http://127.0.0.1:1@evil.test/callback", False),
        ("https://127.0.0.1:1/callback", False),
    ],
)
def test_the_browser_is_sent_back_to_this_machine_and_nowhere_else(desk: Desk, redirect_uri: str, known: bool) -> None:
    question = {
        "client_id": BROWSER_CLIENT,
        "response_type": "code",
        "scope": SCOPE,
        "redirect_uri": redirect_uri,
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    trust = ssl.create_default_context(cafile=str(desk.keycloak.ca_file))
    reply = httpx.get(f"{desk.request.issuer}/protocol/openid-connect/auth", params=question, verify=trust)
    assert reply.status_code == (200 if known else 400)
    assert ("redirect_uri" in reply.text) is not known


# how it goes on


def test_a_login_is_renewed_for_as_long_as_its_session_lives(desk: Desk) -> None:
    first = desk.log_in()
    second = desk.renew(first)
    third = desk.renew(second)
    assert len({grant.access.ref for grant in (first, second, third)}) == 3
    assert session(first) == session(third)
    assert third.access.scope is not None
    assert "db:demo" in third.access.scope.split()


def test_a_renewed_token_says_what_the_critical_tier_asks_for(desk: Desk) -> None:
    first = desk.log_in()
    renewed = claims_in(desk.renew(first).access)
    assert renewed["azp"] == BROWSER_CLIENT
    assert renewed["auth_time"] == claims_in(first.access)["auth_time"]  # when the person did, not when we renewed
    assert renewed["acr"]


def test_a_session_that_keycloak_ended_is_not_renewed(desk: Desk, admin_password: str) -> None:
    grant = desk.log_in()
    _end_session(desk.keycloak, admin_password, session(grant))
    with pytest.raises(LoginEndedError, match="the login has ended"):
        desk.renew(grant)


def test_a_refresh_token_that_is_good_once(rotating_desk: Desk) -> None:
    first = rotating_desk.log_in()
    second = rotating_desk.renew(rotating_desk.renew(first))
    third = rotating_desk.renew(second)
    assert first.refresh != second.refresh != third.refresh
    with pytest.raises(LoginEndedError):
        rotating_desk.renew(second)
    with pytest.raises(LoginEndedError):  # whoever had it may have been a thief: Keycloak ends the login for all
        rotating_desk.renew(third)


def test_a_renewal_by_another_client_is_refused(desk: Desk) -> None:
    grant = desk.log_in()
    other = Grant(grant.access, "pgbearer-device", refresh=grant.refresh)
    with pytest.raises(LoginEndedError):
        desk.renew(other)


# how it ends


@pytest.mark.parametrize("where", ["desk", "rotating_desk"])
def test_a_logout_ends_the_session_at_keycloak(request: pytest.FixtureRequest, where: str) -> None:
    desk: Desk = request.getfixturevalue(where)
    grant = desk.renew(desk.log_in())
    desk.log_out(grant)
    with pytest.raises(LoginEndedError):
        desk.renew(grant)
    again = desk.log_in()
    assert "password" in desk.visits[1].fields  # the browser's cookie of the session logs nobody in
    assert session(again) != session(grant)


def test_a_logout_ends_the_session_of_other_applications_too(desk: Desk) -> None:
    issuer = desk.request.issuer
    question = {
        "client_id": "account-console",
        "response_type": "code",
        "scope": "openid",
        "redirect_uri": f"{issuer}/account/",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    console = f"{issuer}/protocol/openid-connect/auth?{urlencode(question)}"
    grant = desk.log_in()
    assert desk.browser.visit(console).fields == ()
    desk.log_out(grant)
    assert "password" in desk.browser.visit(console).fields


def test_a_logout_without_an_id_token_does_the_same(desk: Desk) -> None:
    grant = desk.log_in(LoginRequest(desk.request.issuer, BROWSER_CLIENT, "db:demo"))
    assert grant.id_token is None
    desk.log_out(grant)
    with pytest.raises(LoginEndedError):
        desk.renew(grant)


def test_a_logout_leaves_the_logins_on_other_machines(desk: Desk, keycloak: Keycloak) -> None:
    with Browser(person("alice"), keycloak.ca_file) as browser:
        elsewhere = Desk(keycloak, browser)
        theirs = elsewhere.log_in()
        desk.log_out(desk.log_in())
        assert session(elsewhere.renew(theirs)) == session(theirs)


def test_a_login_that_is_over_is_logged_out_of_in_peace(desk: Desk) -> None:
    grant = desk.log_in()
    desk.log_out(grant)
    desk.log_out(grant)


def _end_session(keycloak: Keycloak, admin_password: str, name: str) -> None:
    """What an administrator does in the console."""
    trust = ssl.create_default_context(cafile=str(keycloak.ca_file))
    with httpx.Client(verify=trust, timeout=30) as admin:
        form = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN, "password": admin_password}
        reply = admin.post(f"{keycloak.issuer('master')}/protocol/openid-connect/token", data=form)
        token = json.loads(reply.raise_for_status().text)["access_token"]
        address = f"{keycloak.url}/admin/realms/demo/sessions/{name}"
        admin.delete(address, headers={"Authorization": f"Bearer {token}"}).raise_for_status()
