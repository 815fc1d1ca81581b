"""OPA's data API: what is asked, and what each answer counts for."""

import json
from pathlib import Path
from typing import Any

import pytest

from pgbearer.config.decider_kinds import OpaDecider
from pgbearer.deciders import DeciderFault, DeciderMisconfigured, No, Opa, Opinion, Yes
from pgbearer.http import Reply
from pgbearer.policy import FIELDS
from tests.unit.logins import NOW
from tests.unit.questions import DECISION_ID, Scripted, json_reply, question

ALLOWED = {"allow": True, "id": DECISION_ID}


def settings(**changes: Any) -> OpaDecider:
    return OpaDecider(**{"type": "opa", "url": "https://opa.example.com"} | changes)


async def ask(reply: Reply, **changes: Any) -> Opinion:
    return await Opa(settings(**changes), Scripted([reply]).line).ask(question())


def result(value: object) -> Reply:
    return json_reply({"result": value})


async def test_the_login_is_the_input() -> None:
    opa = Scripted([result(ALLOWED)])

    assert (
        await Opa(settings(), opa.line).ask(question(claims={"acr": "mfa", "teams": ("a", "b"), "level": 3})) == Yes()
    )

    (said,) = opa.said
    assert said.url == "https://opa.example.com/v1/data/pgbearer/login"
    assert said.headers == {"x-request-id": DECISION_ID}
    document = said.json["input"]
    assert (document["version"], document["id"]) == (1, DECISION_ID)
    assert document["request"]["database"] == "appdb"
    assert document["request"]["client"] == {"address": "10.1.2.3", "tls": "", "certificate": ""}
    assert document["request"]["time"] == NOW
    assert document["token"]["roles"] == ["db-read"]
    assert document["token"]["expires_at"] == NOW + 290
    assert document["claims"] == {"acr": "mfa", "teams": ["a", "b"], "level": 3}


async def test_the_input_has_every_name_that_conditions_have_and_no_other() -> None:
    opa = Scripted([result(ALLOWED)])
    await Opa(settings(), opa.line).ask(question())

    assert set(names_in(opa.said[0].json["input"])) == {*FIELDS, "version", "id", "claims.acr"}


def names_in(document: dict[str, Any], above: str = "") -> list[str]:
    found = []
    for name, value in document.items():
        found += names_in(value, f"{above}{name}.") if isinstance(value, dict) else [above + name]
    return found


async def test_no_token_is_in_the_input() -> None:
    opa = Scripted([result(ALLOWED)])
    await Opa(settings(), opa.line).ask(question(token="person.access.token"))

    assert b"person.access.token" not in opa.said[0].body
    assert Opa.needs_token is False


async def test_another_document_can_be_asked_for() -> None:
    opa = Scripted([result(ALLOWED)])
    await Opa(settings(path="teams/dba/decision", url="https://opa.example.com/prefix/"), opa.line).ask(question())

    assert opa.said[0].url == "https://opa.example.com/prefix/v1/data/teams/dba/decision"


async def test_reason_is_carried() -> None:
    assert await ask(result(ALLOWED | {"reason": "on call"})) == Yes(reason="on call")
    assert await ask(result(ALLOWED | {"allow": False, "reason": "not on call"})) == No(reason="not on call")


@pytest.mark.parametrize("reason", [1, ["a"], None, ""])
async def test_a_reason_that_is_no_text_is_left_out(reason: object) -> None:
    assert await ask(result(ALLOWED | {"reason": reason})) == Yes()


async def test_undefined_is_a_no() -> None:
    assert await ask(json_reply({})) == No(reason="pgbearer/login is undefined")


@pytest.mark.parametrize("document", [False, {"allow": False}, {"id": DECISION_ID}, {}])
async def test_a_no_needs_no_more(document: object) -> None:
    assert isinstance(await ask(result(document)), No)


@pytest.mark.parametrize(
    "document",
    [
        True,
        {"allow": True},
        {"allow": True, "id": None},
        {"allow": True, "id": "another"},
        {"allow": False, "id": "another"},
        {"allow": True, "id": 1},
        {"allow": "true", "id": DECISION_ID},
        {"allow": 1, "id": DECISION_ID},
        {"allow": None, "id": DECISION_ID},
        "true",
        1,
        None,
        [ALLOWED],
        [],
    ],
)
async def test_what_is_no_decision_about_this_login_is_a_fault(document: object) -> None:
    with pytest.raises(DeciderFault):
        await ask(result(document))


async def test_a_plain_decision_is_one_where_the_settings_say_so() -> None:
    assert await ask(result(True), request_id="checked") == Yes()
    assert await ask(result({"allow": True}), request_id="checked") == Yes()
    with pytest.raises(DeciderFault, match="another question"):
        await ask(result({"allow": True, "id": "another"}), request_id="checked")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
async def test_refusals_are_ours_to_mend(status: int) -> None:
    with pytest.raises(DeciderMisconfigured):
        await ask(json_reply({"code": "x", "result": ALLOWED}, status))


@pytest.mark.parametrize(
    "reply", [Reply(200, {"content-type": "text/plain"}, json.dumps({"result": ALLOWED}).encode())]
)
async def test_what_is_not_json_is_a_fault(reply: Reply) -> None:
    with pytest.raises(DeciderFault):
        await ask(reply)


async def test_we_say_who_we_are(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("ours\n")
    opa = Scripted([result(ALLOWED)])

    await Opa(settings(bearer_file=token), opa.line).ask(question())

    assert opa.said[0].headers["authorization"] == "Bearer ours"
