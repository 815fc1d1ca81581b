"""A real Keycloak, asked by the real service at each login whether the token is still good."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.e2e.fix_kinds import INTROSPECTION_SECRET, Kinds
from tests.integration.fix_chain import PGBEARER
from tests.integration.fix_service import Service, write_settings
from tests.parts.login import login_request

Ask = Callable[[str], str]


@pytest.fixture
def ask(kinds: Kinds, tmp_path: Path) -> Iterator[Callable[..., Ask]]:
    """Start a service with some settings of introspection; what it says to a token."""
    with contextlib.ExitStack() as stack:

        def start(*, client: str = "db:demo", secret: str = INTROSPECTION_SECRET, **changes: Any) -> Ask:
            service = stack.enter_context(_service(kinds, tmp_path, client, secret, changes))
            service.await_line("serving logins")
            return lambda token: str(service.login(login_request(token=token, issuer=kinds.issuer))["reason"])

        yield start


def _service(kinds: Kinds, folder: Path, client: str, secret: str, changes: dict[str, Any]) -> Service:
    (folder / "secret").write_text(secret)
    (folder / "secret").chmod(0o600)
    introspection = {
        "endpoint": f"{kinds.issuer}/protocol/openid-connect/token/introspect",
        "client_id": client,
        "client_secret_file": str(folder / "secret"),
    }
    issuer = {
        "profile": "keycloak",
        "issuer": kinds.issuer,
        "audience": "db:demo",
        "clients": ["pgbearer-cli"],
        "identity": "demo:{sub}",
        "ca_file": str(kinds.ca_file),
        "introspection": {**introspection, **changes},
    }
    rules = [{"name": "all", "databases": ["appdb"], "roles": ["app_readonly"]}]
    file = folder / "pgbearer.yaml"
    source: Any = SimpleNamespace(url=kinds.issuer, ca_file=kinds.ca_file)
    settings = write_settings(file, source, issuers={"demo": issuer}, rules=rules)
    command = [PGBEARER, "serve", "-c", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return Service(file, settings, process, source)


@pytest.mark.parametrize("by", ["basic", "post"])
def test_a_token_is_refused_once_its_session_was_ended(kinds: Kinds, ask: Callable[..., Ask], by: str) -> None:
    reason = ask(client_auth=by)
    one, other = kinds.response(), kinds.response()
    assert reason(one["access_token"]) == "allowed"
    kinds.log_out(one)
    assert reason(one["access_token"]) == "token_inactive"
    assert reason(other["access_token"]) == "allowed"


def test_a_remembered_yes_outlives_the_session(kinds: Kinds, ask: Callable[..., Ask]) -> None:
    """What `cache` costs."""
    reason = ask(cache="60s")
    one = kinds.response()
    assert reason(one["access_token"]) == "allowed"
    kinds.log_out(one)
    assert reason(one["access_token"]) == "allowed"


def test_a_token_of_a_disabled_person_is_refused(kinds: Kinds, ask: Callable[..., Ask]) -> None:
    reason = ask()
    token = kinds.access()
    kinds.enable(enabled=False)
    try:
        assert reason(token) == "token_inactive"
    finally:
        kinds.enable(enabled=True)
    assert reason(kinds.access()) == "allowed"


def test_a_client_with_another_secret_is_told_nothing(kinds: Kinds, ask: Callable[..., Ask]) -> None:
    assert ask(secret="another")(kinds.access()) == "introspection_refused"


def test_a_client_that_the_token_is_not_for_is_told_no(kinds: Kinds, ask: Callable[..., Ask]) -> None:
    """Since 26.7.0: the client must be in aud, even if it is the one that got the token."""
    assert ask(client="pgbearer-cli", secret="of-the-realm-kinds")(kinds.access()) == "token_inactive"
