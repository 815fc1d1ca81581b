"""Who we are to a decider: files of ours, and a token that is asked for."""

import base64
import os
import time
from pathlib import Path
from typing import Any

import pytest

from pgbearer.config.decider_kinds import AuthZenDecider
from pgbearer.deciders import AuthZen, DeciderFault, DeciderMisconfigured, Yes
from pgbearer.deciders.credentials import BearerFile, credentials_of
from pgbearer.errors import UsageError
from pgbearer.http import Reply
from tests.unit.questions import DECISION_ID, Scripted, json_reply, question

TOKEN_ENDPOINT = "https://sso.example.com/token"
PERMIT = json_reply({"decision": True}, x_request_id=DECISION_ID)


def settings(**changes: Any) -> AuthZenDecider:
    return AuthZenDecider.model_validate({"type": "authzen", "url": "https://pdp.example.com"} | changes)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("s3cr3t:+\n")
    return file


def client(secret: Path, **changes: Any) -> AuthZenDecider:
    ours = {"token_endpoint": TOKEN_ENDPOINT, "client": "pg bearer", "secret_file": secret}
    return settings(client_credentials=ours | changes)


def issued(compact: object = "t1", **changes: Any) -> Reply:
    return json_reply({"access_token": compact, "token_type": "Bearer", "expires_in": 300} | changes)


def rewrite(file: Path, text: str) -> None:
    """In place, as if it had been so all the time."""
    known = file.stat()
    file.write_text(text)
    os.utime(file, ns=(known.st_atime_ns, known.st_mtime_ns))


def replace(file: Path, text: str) -> None:
    """As whoever renews a token does: whole or not at all."""
    new = file.with_name("new")
    new.write_text(text)
    new.rename(file)


def take_away(file: Path) -> None:
    file.unlink()


async def headers(given: AuthZenDecider) -> Any:
    return await credentials_of(given, Scripted([PERMIT]).line).headers()


async def test_nobody_unless_the_settings_say_who() -> None:
    assert await headers(settings()) == {}


async def test_bearer(secret: Path) -> None:
    assert await headers(settings(bearer_file=secret)) == {"authorization": "Bearer s3cr3t:+"}


async def test_basic(secret: Path) -> None:
    said = await headers(settings(basic={"user": "pgbearer", "password_file": secret}))

    assert base64.b64decode(said["authorization"].removeprefix("Basic ")) == b"pgbearer:s3cr3t:+"


def test_a_user_name_with_a_colon_is_none(secret: Path) -> None:
    with pytest.raises(UsageError, match="colon"):
        credentials_of(settings(basic={"user": "a:b", "password_file": secret}), Scripted([PERMIT]).line)


async def test_a_renewed_token_is_read_anew(secret: Path) -> None:
    bearer = BearerFile(secret)
    replace(secret, "renewed")

    assert await bearer.headers() == {"authorization": "Bearer renewed"}


async def test_a_token_that_went_away_is_ours_to_mend(secret: Path) -> None:
    bearer = BearerFile(secret)
    take_away(secret)

    with pytest.raises(DeciderMisconfigured, match="cannot be read"):
        await bearer.headers()


async def test_a_refused_token_is_read_anew_whatever_its_time(secret: Path) -> None:
    bearer = BearerFile(secret)
    rewrite(secret, "other-1:+\n")
    assert await bearer.headers() == {"authorization": "Bearer s3cr3t:+"}

    bearer.refused()

    assert await bearer.headers() == {"authorization": "Bearer other-1:+"}


@pytest.mark.parametrize("text", [b"", b"\n", b"two words", b"two\nlines", b"a\x00b", b"\xff", b"x" * 70_000])
def test_a_file_without_one_secret_is_refused_and_not_shown(secret: Path, text: bytes) -> None:
    secret.write_bytes(text)

    with pytest.raises(UsageError, match="holds no secret") as caught:
        BearerFile(secret)

    assert "two" not in str(caught.value).replace(str(secret), "")


async def test_a_token_is_asked_for_as_the_client(secret: Path) -> None:
    server = Scripted([issued()])

    said = await credentials_of(client(secret, scope="authzen"), server.line).headers()

    assert said == {"authorization": "Bearer t1"}
    (asked,) = server.said
    assert (asked.url, asked.body) == (TOKEN_ENDPOINT, b"grant_type=client_credentials&scope=authzen")
    pair = base64.b64decode(asked.headers["authorization"].removeprefix("Basic "))
    assert pair == b"pg+bearer:s3cr3t%3A%2B"  # RFC 6749 section 2.3.1


async def test_one_token_is_good_for_many_questions_until_it_is_old(
    secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    server = Scripted([issued("t1"), issued("t2")])
    ours = credentials_of(client(secret), server.line)

    first = [await ours.headers() for _ in range(3)]
    now += 239
    assert await ours.headers() == first[0] == {"authorization": "Bearer t1"}
    now += 2
    assert await ours.headers() == {"authorization": "Bearer t2"}


async def test_a_token_without_a_lifetime_is_used_once(secret: Path) -> None:
    server = Scripted([json_reply({"access_token": "t1"}), json_reply({"access_token": "t2"})])
    ours = credentials_of(client(secret), server.line)

    assert [await ours.headers(), await ours.headers()] == [
        {"authorization": "Bearer t1"},
        {"authorization": "Bearer t2"},
    ]


async def test_a_refused_token_is_replaced_before_the_next_question(secret: Path) -> None:
    pdp = Scripted([issued("old"), json_reply({}, 401), issued("new"), PERMIT])
    decider = AuthZen(client(secret), pdp.line)

    with pytest.raises(DeciderMisconfigured):
        await decider.ask(question())

    assert await decider.ask(question()) == Yes()
    assert pdp.said[-1].headers["authorization"] == "Bearer new"


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_client_that_is_not_known_is_ours_to_mend(secret: Path, status: int) -> None:
    with pytest.raises(DeciderMisconfigured) as caught:
        await credentials_of(client(secret), Scripted([json_reply({"error": "invalid_client"}, status)]).line).headers()
    assert caught.value.what == f"the authorization server answered {status}"  # not the decider, which was not asked


@pytest.mark.parametrize(
    "reply",
    [
        issued(None),
        issued(""),
        issued("a b"),
        issued("a\r\nx: y"),
        issued(1),
        issued(expires_in=-1),
        issued(expires_in="300"),
        issued(expires_in=True),
        json_reply([]),
    ],
)
async def test_an_answer_without_a_token_is_a_fault(secret: Path, reply: Reply) -> None:
    with pytest.raises(DeciderFault):
        await credentials_of(client(secret), Scripted([reply]).line).headers()


def test_there_is_one_way_to_say_who_we_are(secret: Path) -> None:
    with pytest.raises(ValueError, match="takes one of"):
        settings(bearer_file=secret, basic={"user": "a", "password_file": secret})
