"""A login renewed: what is asked, what stays, and which no ends it."""

import base64
import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from pgbearer.client import AccessToken, LoginEndedError, LoginRefusedError, MetadataError
from pgbearer.client.grant import Grant
from pgbearer.client.login.refresh import refresh
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import run
from pgbearer.client.secret import Secret
from pgbearer.errors import PgbearerError, UnreachableError
from pgbearer.http import Fault, FetchError, Reply

ISSUER = "https://sso.test/realms/corp"
TOKEN = {"access_token": "b.secret.token", "token_type": "Bearer", "expires_in": 300}
REQUEST = LoginRequest(ISSUER, "pgbearer-cli", "openid db")


def jwt(**claims: Any) -> str:
    return "h." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + ".secret"


HELD = Grant(
    AccessToken("a.secret.token", expires_at=1_000.0, scope="openid db"),
    "pgbearer-cli",
    refresh=Secret("r1-secret"),
    refresh_expires_at=2_000.0,
    id_token=Secret("i1-secret"),
)


@dataclass
class Issuer:
    """Answers the renewal with `answer`."""

    answer: Any = field(default_factory=lambda: TOKEN, repr=False)
    forms: list[tuple[str, dict[str, str]]] = field(default_factory=list, repr=False)

    def get(self, url: str) -> Reply:
        return Reply(200, {}, json.dumps({"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token"}).encode())

    def post_form(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Reply:
        self.forms.append((url, dict(fields)))
        if isinstance(self.answer, FetchError):
            raise self.answer
        return self.answer if isinstance(self.answer, Reply) else Reply(200, {}, json.dumps(self.answer).encode())

    def renew(self, held: Grant = HELD) -> Grant:
        return run(refresh(REQUEST, held, wall=lambda: 1_000_000.0), self)


def error(code: str, status: int = 400) -> Reply:
    return Reply(status, {}, json.dumps({"error": code, "error_description": "in its own words"}).encode())


def test_what_is_asked() -> None:
    issuer = Issuer()
    issuer.renew()
    form = {"grant_type": "refresh_token", "refresh_token": "r1-secret", "client_id": "pgbearer-cli"}
    assert issuer.forms == [(f"{ISSUER}/token", form)]


def test_what_is_not_given_anew_stays() -> None:
    renewed = Issuer().renew()
    assert (renewed.access.reveal(), renewed.access.expires_at) == ("b.secret.token", 1_000_300)
    assert renewed.access.scope == "openid db"
    assert (renewed.refresh, renewed.refresh_expires_at, renewed.id_token) == (HELD.refresh, 2_000.0, HELD.id_token)


def test_what_is_given_anew_replaces_what_was() -> None:
    more = {"scope": "db", "refresh_token": "r2", "refresh_expires_in": 60, "id_token": "i2"}
    renewed = Issuer(TOKEN | more).renew()
    assert renewed.access.scope == "db"
    assert (renewed.refresh, renewed.refresh_expires_at, renewed.id_token) == (Secret("r2"), 1_000_060, Secret("i2"))


def test_a_new_refresh_token_does_not_take_the_end_of_the_old_one() -> None:
    assert Issuer(TOKEN | {"refresh_token": "r2"}).renew().refresh_expires_at is None


def test_the_client_that_got_it_renews_it() -> None:
    issuer = Issuer()
    held = Grant(HELD.access, "pgbearer-device", refresh=HELD.refresh)
    assert issuer.renew(held).client_id == "pgbearer-device"
    assert issuer.forms[0][1]["client_id"] == "pgbearer-device"


def test_a_login_that_is_over_says_so_and_what_to_do() -> None:
    with pytest.raises(LoginEndedError, match=r"the login has ended \(invalid_grant: in its own words\)") as caught:
        Issuer(error("invalid_grant")).renew()
    assert (caught.value.error, caught.value.exit_code) == ("invalid_grant", 1)
    assert "pgbearer login" in (caught.value.hint or "")


def test_nothing_to_renew_it_with_is_an_end_too() -> None:
    issuer = Issuer()
    with pytest.raises(LoginEndedError, match="no refresh token"):
        issuer.renew(Grant(HELD.access, "pgbearer-cli"))
    assert issuer.forms == []


@pytest.mark.parametrize("code", ["invalid_client", "unauthorized_client", "invalid_scope", "somebody_elses_error"])
def test_another_no_is_no_end(code: str) -> None:
    with pytest.raises(LoginRefusedError) as caught:
        Issuer(error(code, 401)).renew()
    assert not isinstance(caught.value, LoginEndedError)
    assert caught.value.error == code


@pytest.mark.parametrize(
    "answer",
    [
        FetchError(Fault.CONNECT, "as the test wants", url=ISSUER),
        FetchError(Fault.TIMEOUT, "as the test wants", url=ISSUER),
        error("invalid_grant", 503),  # of a server that fails, no word about the login is believed
        error("slow_down", 429),
        Reply(502, {}, b"<html>"),
        Reply(400, {}, b"<html>"),
        Reply(200, {}, b"<html>"),
    ],
)
def test_no_answer_is_no_end(answer: Any) -> None:
    with pytest.raises(UnreachableError):
        Issuer(answer).renew()


def about(access: str, id_token: str | None = None) -> Grant:
    held = None if id_token is None else Secret(id_token)
    return Grant(AccessToken(access), "pgbearer-cli", refresh=Secret("r1-secret"), id_token=held)


ALICE, MALLORY = jwt(sub="alice"), jwt(sub="mallory")


@pytest.mark.parametrize(
    ("held", "answer"),
    [
        (about(ALICE), {"access_token": MALLORY}),
        (about(ALICE), {"access_token": jwt(sub=7)}),
        (about("opaque", ALICE), {"access_token": "opaque", "id_token": MALLORY}),
        (about(ALICE, ALICE), {"access_token": ALICE, "id_token": MALLORY}),
    ],
)
def test_somebody_elses_token_is_refused(held: Grant, answer: dict[str, str]) -> None:
    with pytest.raises(LoginEndedError, match="a token of somebody else") as caught:
        Issuer(TOKEN | answer).renew(held)
    assert caught.value.error == "other_subject"
    assert "mallory" not in str(caught.value)


@pytest.mark.parametrize(
    ("held", "answer"),
    [
        (about(ALICE), {"access_token": jwt(sub="alice", jti="2")}),
        (about(ALICE), {"access_token": "opaque"}),
        (about(ALICE), {"access_token": jwt(jti="a lightweight one")}),
        (about("opaque"), {"access_token": ALICE}),
        (about(ALICE), {"access_token": ALICE, "id_token": ALICE}),
    ],
)
def test_the_same_person_and_nobody_in_particular_are_not_refused(held: Grant, answer: dict[str, str]) -> None:
    assert Issuer(TOKEN | answer).renew(held).access.reveal() == answer["access_token"]


@pytest.mark.parametrize(
    ("held", "answer"),
    [
        (HELD, error("invalid_grant")),
        (HELD, Reply(200, {}, b"<html>secret")),
        (HELD, TOKEN | {"token_type": "DPoP"}),
        (HELD, FetchError(Fault.TLS, "as the test wants", url=ISSUER)),
        (about(ALICE), TOKEN | {"access_token": MALLORY}),
    ],
)
def test_no_secret_in_a_traceback_with_locals(held: Grant, answer: Any) -> None:
    with pytest.raises(PgbearerError) as caught:
        Issuer(answer).renew(held)
    frames = traceback.walk_tb(caught.value.__traceback__)
    ours = (frame for frame in frames if "/client/" in frame[0].f_code.co_filename)
    report = "".join(traceback.StackSummary.extract(ours, capture_locals=True).format())
    assert "refresh.py" in report
    assert not any(word in report for word in ("r1-secret", "i1-secret", "secret.token", ALICE, MALLORY))


def test_metadata_that_is_gone_is_no_end() -> None:
    issuer = Issuer()
    issuer.get = lambda url: Reply(404, {}, b"")  # type: ignore[method-assign]
    with pytest.raises(MetadataError, match="no metadata here"):
        issuer.renew()
