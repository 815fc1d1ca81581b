"""Keycloak's authorization services: what is asked, and what each answer counts for."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import pytest

from pgbearer.config.decider_kinds import KeycloakDecider
from pgbearer.deciders import (
    DeciderError,
    DeciderFault,
    DeciderMisconfigured,
    KeycloakUma,
    No,
    Opinion,
    QuestionUnaskable,
    Yes,
)
from pgbearer.http import Reply
from tests.unit.questions import DECISION_ID, TOKEN, Scripted, json_reply, question

REALM = "https://sso.example.com/realms/corp"
GRANTED = json_reply({"result": True})


def settings(**changes: Any) -> KeycloakDecider:
    return KeycloakDecider(**{"type": "keycloak", "url": REALM, "issuer": "corp", "audience": "postgres"} | changes)


async def ask(reply: Reply, **changes: Any) -> Opinion:
    return await KeycloakUma(settings(), Scripted([reply]).line).ask(question(**{"token": TOKEN} | changes))


def form_of(body: bytes) -> Mapping[str, list[str]]:
    return parse_qs(body.decode(), keep_blank_values=True)


async def test_one_permission_is_asked_for_with_the_persons_token() -> None:
    keycloak = Scripted([GRANTED])

    assert await KeycloakUma(settings(), keycloak.line).ask(question(token=TOKEN)) == Yes()

    (said,) = keycloak.said
    assert said.url == f"{REALM}/protocol/openid-connect/token"
    assert said.content_type == "application/x-www-form-urlencoded"
    assert said.headers == {"authorization": f"Bearer {TOKEN}", "x-request-id": DECISION_ID}
    assert form_of(said.body) == {
        "grant_type": ["urn:ietf:params:oauth:grant-type:uma-ticket"],
        "audience": ["postgres"],
        "permission": ["appdb#app_readonly"],
        "response_mode": ["decision"],
    }


async def test_the_permission_follows_its_template() -> None:
    keycloak = Scripted([GRANTED])
    template = "db-{server}-{database}#login-{acr}"

    await KeycloakUma(settings(permission=template), keycloak.line).ask(question(token=TOKEN))

    assert form_of(keycloak.said[0].body)["permission"] == ["db-local-appdb#login-mfa"]


@pytest.mark.parametrize(
    "name",
    [
        "appdb#app_readonly",
        "appdb,payroll",
        "resource-type:urn:x",
        "a\x00b",
        "a\nb",
        "a&audience=other",
        "аppdb",
        "",
        "x" * 64,
        ".hidden",
    ],
)
@pytest.mark.parametrize("place", ["database", "role"])
async def test_no_name_becomes_more_than_one_name(place: str, name: str) -> None:
    keycloak = Scripted([GRANTED])

    with pytest.raises(QuestionUnaskable) as caught:
        await KeycloakUma(settings(), keycloak.line).ask(question(token=TOKEN, **{place: name}))

    assert not keycloak.said
    assert not name or name not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, "access_denied"),
        (403, "something_new"),
        (401, "invalid_grant"),
        (400, "invalid_grant"),
        (400, "invalid_resource"),
        (400, "invalid_scope"),
    ],
)
async def test_a_refusal_is_a_no(status: int, error: str) -> None:
    said = await ask(json_reply({"error": error, "error_description": "not_authorized"}, status))

    assert said == No(reason="not_authorized")


@pytest.mark.parametrize("body", [b"<html>", b'{"error":1,"error":2}', b""])
async def test_a_refusal_that_cannot_be_read_is_a_no_all_the_same(body: bytes) -> None:
    assert isinstance(await ask(Reply(403, {"content-type": "text/html"}, body)), No)


async def test_words_of_a_refusal_are_shown_escaped_and_cut() -> None:
    said = await ask(json_reply({"error": "access_denied", "error_description": "\x1b[2J" + "x" * 500}, 403))

    assert isinstance(said, No)
    assert said.reason is not None
    assert said.reason.startswith("\\x1b[2J")
    assert len(said.reason) <= 200


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, "invalid_client"),
        (401, "unauthorized_client"),
        (400, "invalid_request"),
        (400, "unsupported_grant_type"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (401, 1),
        (400, ["invalid_scope"]),
        (400, {"invalid_scope": True}),
    ],
)
async def test_what_is_about_us_is_misconfigured(status: int, error: object) -> None:
    with pytest.raises(DeciderMisconfigured):
        await ask(json_reply({"error": error}, status))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("invalid_client", "answered 400 (invalid_client)"),
        ("ey_j.a.b", "answered 400"),
        ("a" * 40, "answered 400"),
        ("Invalid client", "answered 400"),
    ],
)
async def test_of_what_is_about_us_only_a_code_is_said(error: str, said: str) -> None:
    with pytest.raises(DeciderMisconfigured) as caught:
        await ask(json_reply({"error": error, "error_description": "eyJ"}, 400))
    assert caught.value.what == said
    assert str(caught.value.where).endswith("/protocol/openid-connect/token")


@pytest.mark.parametrize("status", [400, 401])
async def test_an_error_that_cannot_be_read_is_no_fault_that_others_may_answer_for(status: int) -> None:
    with pytest.raises(DeciderMisconfigured):
        await ask(Reply(status, {"content-type": "text/html"}, b"<html>"))


@pytest.mark.parametrize(
    "body",
    [
        {"result": "true"},
        {"result": 1},
        {"result": False},
        {"result": None},
        {},
        {"access_token": "x"},
        {"Result": True},
    ],
)
async def test_anything_but_true_is_no_yes(body: object) -> None:
    with pytest.raises(DeciderFault):
        await ask(json_reply(body))


@pytest.mark.parametrize("reply", [Reply(200, {"content-type": "text/html"}, b'{"result":true}'), json_reply([True])])
async def test_anything_but_an_object_of_json_is_no_yes(reply: Reply) -> None:
    with pytest.raises(DeciderFault):
        await ask(reply)


@pytest.mark.parametrize("status", [201, 204, 102])
async def test_another_success_is_none(status: int) -> None:
    with pytest.raises(DeciderFault):
        await ask(json_reply({"result": True}, status))


async def test_another_realm_is_not_shown_the_token() -> None:
    keycloak = Scripted([GRANTED])

    with pytest.raises(DeciderMisconfigured, match="a token of batch"):
        await KeycloakUma(settings(), keycloak.line).ask(question(token=TOKEN, issuer="batch"))

    assert not keycloak.said


async def test_nothing_is_asked_without_a_token() -> None:
    with pytest.raises(DeciderError):
        await ask(GRANTED, token=None)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404])
async def test_no_error_shows_the_token(status: int) -> None:
    reply = json_reply({"error": "x", "token": TOKEN}, status)

    try:
        said: object = await ask(reply)
    except DeciderError as error:
        said = error

    assert TOKEN not in f"{said!r} {said}"
    assert TOKEN not in repr(question(token=TOKEN))
