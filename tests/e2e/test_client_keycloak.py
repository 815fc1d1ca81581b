"""The client's device login at a real Keycloak, approved, denied and misused on its own pages."""

from collections.abc import Callable

import pytest

from pgbearer.client import AccessToken, DeviceCode, LoginRefusedError, audience_in, claims_in
from pgbearer.client.login.device import device_login
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import run
from pgbearer.http import SyncFetcher
from tests.e2e.fix_keycloak import person
from tests.parts.device_pages import approve, deny
from tests.parts.keycloak import Keycloak

LogIn = Callable[..., AccessToken]


@pytest.fixture
def log_in(keycloak: Keycloak) -> LogIn:
    """Log in through the client's own steps; the page is answered as soon as the code is shown, so nothing waits."""

    def log_in(
        answer: Callable[..., object] = approve, client_id: str = "pgbearer-device", scope: str = "openid db:demo"
    ) -> AccessToken:
        def at_the_page(code: DeviceCode) -> None:
            answer(code.verification_uri, person("alice"), ca_file=keycloak.ca_file, user_code=code.user_code)

        steps = device_login(LoginRequest(keycloak.issuer(), client_id, scope), monotonic=lambda: 0, wall=lambda: 0)
        with SyncFetcher(keycloak.ca_file, timeout=20) as fetcher:
            return run(steps, fetcher, at_the_page, sleep=lambda _seconds: None).access

    return log_in


def test_an_approved_login(log_in: LogIn) -> None:
    held = log_in()
    assert claims_in(held)["preferred_username"] == "alice"
    assert audience_in(held) == ("db:demo",)
    # Keycloak counts expires_in from the time it answers, which may be in a later second than the token's iat.
    assert held.expires_at is not None
    assert 290 < held.expires_at <= 300
    assert "db:demo" in (held.scope or "").split()


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"answer": deny}, "access_denied"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": "account"}, "unauthorized_client"),
    ],
)
def test_a_refused_login_says_why(log_in: LogIn, how: dict[str, object], error: str) -> None:
    with pytest.raises(LoginRefusedError) as caught:
        log_in(**how)
    assert caught.value.error == error
