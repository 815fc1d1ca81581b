"""A login's life at a real Keycloak that rotates refresh tokens: many processes, an ended session, a hung Keycloak."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pgbearer.client import (
    AccessToken,
    DeviceCode,
    FileStore,
    Grant,
    LoginEndedError,
    NotLoggedInError,
    PersonSource,
    TokenKey,
)
from pgbearer.client.login.refresh import refresh
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import run
from pgbearer.client.store.folder import StateFolder
from pgbearer.client.store.private import PrivateFolder
from pgbearer.errors import UnreachableError
from pgbearer.http import SyncFetcher
from tests.e2e.fix_keycloak import REALM_FILE, person
from tests.parts.device_pages import approve
from tests.parts.keycloak import ADMIN, Keycloak

ROOT = Path(__file__).parents[2]
REALM = "counted"


@dataclass(frozen=True, slots=True)
class Rotating:
    """The demo's realm once more: each refresh token is good once, and what happens is counted."""

    keycloak: Keycloak
    device_client: str
    _http: httpx.Client

    @property
    def issuer(self) -> str:
        return self.keycloak.issuer(REALM)

    def count(self, event: str) -> int:
        """How often something happened, by Keycloak's own record."""
        return len(self._http.get("/events", params={"type": event, "max": 1_000}).raise_for_status().json())

    def end_sessions(self, username: str) -> None:
        """End every session of a person, as an administrator does."""
        (user,) = self._http.get("/users", params={"username": username, "exact": "true"}).raise_for_status().json()
        self._http.post(f"/users/{user['id']}/logout").raise_for_status()


@pytest.fixture(scope="module")
def rotating(keycloak: Keycloak, admin_password: str) -> Iterator[Rotating]:
    realm: dict[str, Any] = json.loads(REALM_FILE.read_text()) | {
        "realm": REALM,
        "revokeRefreshToken": True,
        "refreshTokenMaxReuse": 0,
        "eventsEnabled": True,
        "enabledEventTypes": ["REFRESH_TOKEN", "REFRESH_TOKEN_ERROR"],
    }
    devices = [
        client["clientId"]
        for client in realm["clients"]
        if client.get("attributes", {}).get("oauth2.device.authorization.grant.enabled") == "true"
    ]
    trust = ssl.create_default_context(cafile=str(keycloak.ca_file))
    form = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN, "password": admin_password}
    with httpx.Client(verify=trust, timeout=60) as http:
        token = http.post(f"{keycloak.issuer('master')}/protocol/openid-connect/token", data=form).json()[
            "access_token"
        ]
        http.headers["authorization"] = f"Bearer {token}"
        http.post(f"{keycloak.url}/admin/realms", json=realm).raise_for_status()
        http.base_url = httpx.URL(f"{keycloak.url}/admin/realms/{REALM}")
        yield Rotating(keycloak, devices[0], http)
        http.delete("").raise_for_status()


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(StateFolder(PrivateFolder(tmp_path / "state")))


@pytest.fixture
def shown() -> list[DeviceCode]:
    return []


@pytest.fixture
def make(rotating: Rotating, store: FileStore, shown: list[DeviceCode]) -> Callable[..., PersonSource]:
    """A source of alice's, who does in a browser what the page asks as soon as she sees the code."""

    def show(code: DeviceCode) -> None:
        shown.append(code)
        ca_file = rotating.keycloak.ca_file
        approve(code.verification_uri, person("alice"), ca_file=ca_file, user_code=code.user_code)

    def make(**changes: Any) -> PersonSource:
        usual = {"device_client_id": rotating.device_client, "how": "device", "show": show, "store": store}
        return PersonSource(rotating.issuer, "cli", **{**usual, "ca_file": rotating.keycloak.ca_file, **changes})

    return make


def key(rotating: Rotating) -> TokenKey:
    return TokenKey(rotating.issuer, "cli", None)


def leave(store: FileStore, key: TokenKey, seconds: float) -> Grant:
    """Have the kept token end in so many seconds, by what we know of it; the login goes on."""
    kept = store.load(key)
    assert kept is not None
    shorter = AccessToken(kept.access.reveal(), expires_at=time.time() + seconds)
    grant = Grant(shorter, kept.client_id, kept.refresh, kept.refresh_expires_at, kept.id_token)
    store.save(key, grant)
    return grant


def test_several_processes_renew_once_in_each_round(
    rotating: Rotating, store: FileStore, make: Callable[..., PersonSource], tmp_path: Path
) -> None:
    make().log_in()
    before, failed = rotating.count("REFRESH_TOKEN"), rotating.count("REFRESH_TOKEN_ERROR")
    words = [rotating.issuer, str(rotating.keycloak.ca_file), str(tmp_path / "state"), "never"]
    program = [sys.executable, "-m", "tests.token_process", *words]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(program, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) for _ in range(6)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for round_ in range(1, 4):
            leave(store, key(rotating), -1)
            refs = _all_at_once(processes)
            kept = store.load(key(rotating))
            assert kept is not None
            assert refs == {kept.access.ref}
            assert rotating.count("REFRESH_TOKEN") - before == round_
        assert rotating.count("REFRESH_TOKEN_ERROR") == failed
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _all_at_once(processes: list[subprocess.Popen[str]]) -> set[str]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return {json.loads(process.stdout.readline())["ref"] for process in processes if process.stdout is not None}


def test_a_session_that_was_ended_is_asked_for_again_once(
    rotating: Rotating, store: FileStore, make: Callable[..., PersonSource], shown: list[DeviceCode]
) -> None:
    make().log_in()
    rotating.end_sessions("alice")
    leave(store, key(rotating), -1)
    with pytest.raises(NotLoggedInError):
        make(how="never").token()
    source = make()
    again = source.token()
    assert len(shown) == 2
    assert source.token() == make().token() == again
    leave(store, key(rotating), -1)
    assert make().token() != again  # the new login is renewed
    assert len(shown) == 2


def test_a_keycloak_that_hangs_is_said_only_when_the_token_has_ended(
    rotating: Rotating,
    store: FileStore,
    make: Callable[..., PersonSource],
    shown: list[DeviceCode],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make().log_in()
    kept = leave(store, key(rotating), 25).access
    real, ahead = time.time, 0.0
    monkeypatch.setattr("time.time", lambda: real() + ahead)
    group = rotating.keycloak.process.pid
    os.killpg(group, signal.SIGSTOP)
    try:
        source = make(timeout=1.0)
        assert source.token() == kept
        ahead = 30.0
        with pytest.raises(UnreachableError, match="s ago, and it cannot be renewed"):
            source.token()
    finally:
        os.killpg(group, signal.SIGCONT)
    assert make(timeout=30.0).token() != kept
    assert len(shown) == 1


def test_after_a_logout_nothing_renews_the_login(
    rotating: Rotating, store: FileStore, make: Callable[..., PersonSource]
) -> None:
    source = make()
    grant = source.log_in()
    assert source.log_out()
    assert store.load(key(rotating)) is None
    request = LoginRequest(rotating.issuer, grant.client_id)
    with SyncFetcher(rotating.keycloak.ca_file, timeout=20) as fetcher, pytest.raises(LoginEndedError):
        run(refresh(request, grant, wall=time.time), fetcher)
