"""AuthZEN: what each preset asks, what the settings change about it, and what each answer counts for."""

from pathlib import Path
from typing import Any

import pytest

from pgbearer.config.decider_kinds import AuthZenDecider
from pgbearer.deciders import AuthZen, DeciderFault, DeciderMisconfigured, No, Opinion, QuestionUnaskable, Yes
from pgbearer.http import Reply
from tests.unit.questions import DECISION_ID, Scripted, json_reply, question

PDP = "https://pdp.example.com"
PERMIT = json_reply({"decision": True}, x_request_id=DECISION_ID)


def settings(**changes: Any) -> AuthZenDecider:
    return AuthZenDecider.model_validate({"type": "authzen", "url": PDP} | changes)


def cerbos_says(decision: object, request_id: object = DECISION_ID) -> Reply:
    actions = {"app_readonly": {"matchedPolicy": "resource.database.vdefault"}}
    response = {"requestId": request_id, "results": [{"meta": {"actions": actions}}]}
    return json_reply({"decision": decision, "context": {"cerbos.response": response}})


async def asked(*, reply: Reply = PERMIT, about: dict[str, Any] | None = None, **changes: Any) -> Any:
    """The body that went out."""
    pdp = Scripted([reply])
    await AuthZen(settings(**changes), pdp.line).ask(question(**about or {}))
    return pdp.said[-1].json


async def ask(reply: Reply, **changes: Any) -> Opinion:
    return await AuthZen(settings(**changes), Scripted([reply]).line).ask(question())


async def test_default_preset() -> None:
    assert await asked() == {
        "subject": {
            "type": "user",
            "id": "corp:4f7c",
            "properties": {
                "issuer": "corp",
                "client": "pgbearer-cli",
                "groups": ["/staff"],
                "roles": ["db-read"],
            },
        },
        "action": {"name": "app_readonly"},
        "resource": {"type": "database", "id": "appdb", "properties": {"server": "local"}},
        "context": {"client_address": "10.1.2.3", "replication": "none"},
    }


async def test_keycloak_preset_asks_by_user_id_and_nothing_more() -> None:
    assert await asked(preset="keycloak") == {
        "subject": {"type": "user", "id": "id:4f7c"},
        "action": {"name": "app_readonly"},
        "resource": {"type": "urn:pgbearer:database", "id": "appdb"},
    }


async def test_cerbos_preset_names_roles_and_question_as_cerbos_does() -> None:
    body = await asked(preset="cerbos", reply=cerbos_says(True))

    assert body["subject"]["properties"]["cerbos.roles"] == ["db-read"]
    assert body["context"]["cerbos.requestId"] == DECISION_ID
    assert body["context"]["cerbos.includeMeta"] is True


@pytest.mark.parametrize(
    ("preset", "url"),
    [
        ("default", f"{PDP}/access/v1/evaluation"),
        ("cerbos", f"{PDP}/access/v1/evaluation"),
        ("keycloak", f"{PDP}/authzen/access/v1/evaluation"),
    ],
)
async def test_each_preset_knows_where(preset: str, url: str) -> None:
    pdp = Scripted([cerbos_says(True) if preset == "cerbos" else PERMIT])

    await AuthZen(settings(preset=preset), pdp.line).ask(question())

    assert pdp.said[0].url == url
    assert pdp.said[0].headers["x-request-id"] == DECISION_ID


async def test_settings_change_what_they_name_and_nothing_else() -> None:
    body = await asked(
        subject={"type": "employee", "properties": {"department": "{claims.department}", "mfa": True, "acr": "{acr}"}},
        action={"name": "login", "properties": {"as": "pg:{role}"}},
        resource={"id": "{server}.{database}"},
        context={"time": "{request.time}", "id": "{id}"},
    )

    assert body == {
        # no department: the token has none
        "subject": {"type": "employee", "id": "corp:4f7c", "properties": {"mfa": True, "acr": "mfa"}},
        "action": {"name": "login", "properties": {"as": "pg:app_readonly"}},
        "resource": {"type": "database", "id": "local.appdb", "properties": {"server": "local"}},
        "context": {"time": 1_800_000_000, "id": DECISION_ID},
    }


async def test_context_can_be_left_away() -> None:
    assert "context" not in await asked(context={})


@pytest.mark.parametrize("name", ["a#b", "a,b", 'a","decision":true', "a b", "ä", "", "x" * 64])
@pytest.mark.parametrize("place", ["database", "role"])
async def test_names_take_only_what_names_may_hold(place: str, name: str) -> None:
    with pytest.raises(QuestionUnaskable):
        await asked(about={place: name}, resource={"id": "db-{database}"})


async def test_a_field_alone_keeps_any_text_as_an_id() -> None:
    body = await asked(about={"subject": 'auth0|4f"7c'}, subject={"id": "{sub}"})

    assert body["subject"]["id"] == 'auth0|4f"7c'


@pytest.mark.parametrize("about", [{"subject": "username with spaces"}, {"subject": "a:b"}])
async def test_keycloak_is_asked_by_id_only(about: dict[str, str]) -> None:
    with pytest.raises(QuestionUnaskable):
        await asked(about=about, preset="keycloak")


async def test_an_absent_id_is_no_question() -> None:
    with pytest.raises(QuestionUnaskable, match="'department'"):
        await asked(subject={"id": "{department}"})


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        ({"reason": "not on call"}, "not on call"),
        ({"reason_admin": {"en": "policy C076E82F"}, "reason_user": {"en": "sorry"}}, "policy C076E82F"),
        ({"reason_user": {"en-403": "Insufficient privileges"}}, "Insufficient privileges"),
        ({"reason_admin": "plain"}, "plain"),
        ({"reason": "a\x00b\u202e"}, "a\\x00b\\u202e"),
        ({"reason": 1}, None),
        ({"reason": {}}, None),
        ({}, None),
        ("text", None),
    ],
)
async def test_reason_is_carried(context: object, reason: str | None) -> None:
    for decision, opinion in ((True, Yes(reason=reason)), (False, No(reason=reason))):
        assert await ask(json_reply({"decision": decision, "context": context}, x_request_id=DECISION_ID)) == opinion


async def test_cerbos_tells_the_policy_that_decided() -> None:
    assert await ask(cerbos_says(False), preset="cerbos") == No(reason="matched policy resource.database.vdefault")


@pytest.mark.parametrize(
    "body",
    [
        {"decision": "true"},
        {"decision": 1},
        {"decision": None},
        {},
        {"decision": [True]},
        {"Decision": True},
        {"evaluations": [{"decision": True}]},
    ],
)
async def test_anything_but_true_or_false_is_no_decision(body: object) -> None:
    with pytest.raises(DeciderFault, match="without a decision"):
        await ask(json_reply(body, x_request_id=DECISION_ID))


@pytest.mark.parametrize(
    "body", [b'{"decision":false,"decision":true}', b"[true]", b"true", b"", b"\xff", b'{"decision":true']
)
async def test_json_with_two_meanings_is_no_decision(body: bytes) -> None:
    with pytest.raises(DeciderFault):
        await ask(Reply(200, {"content-type": "application/json", "x-request-id": DECISION_ID}, body))


@pytest.mark.parametrize("decision", [True, False])
async def test_an_answer_to_another_question_is_a_fault(decision: bool) -> None:
    for request_id in ("required", "checked"):
        with pytest.raises(DeciderFault, match="another question"):
            await ask(json_reply({"decision": decision}, x_request_id="another"), request_id=request_id)
    with pytest.raises(DeciderFault, match="another question"):
        await ask(cerbos_says(decision, "another"), preset="cerbos")


async def test_a_yes_must_name_its_question() -> None:
    with pytest.raises(DeciderFault, match="without naming"):
        await ask(json_reply({"decision": True}))
    with pytest.raises(DeciderFault, match="without naming"):
        await ask(
            json_reply({"decision": True}, x_request_id=DECISION_ID), preset="cerbos"
        )  # its header is the transport's, not Cerbos'


async def test_a_no_that_names_no_question_is_a_no() -> None:
    assert await ask(json_reply({"decision": False})) == No()


async def test_a_yes_need_not_name_its_question_where_the_settings_say_so() -> None:
    assert await ask(json_reply({"decision": True}), request_id="checked") == Yes()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 422])
async def test_other_statuses_are_ours_to_mend(status: int) -> None:
    with pytest.raises(DeciderMisconfigured):
        await ask(json_reply({"decision": True}, status, x_request_id=DECISION_ID))


@pytest.mark.parametrize("status", [201, 202, 204])
async def test_another_success_is_none(status: int) -> None:
    with pytest.raises(DeciderFault):
        await ask(json_reply({"decision": True}, status, x_request_id=DECISION_ID))


def metadata(**changes: Any) -> Reply:
    return json_reply({"policy_decision_point": PDP, "access_evaluation_endpoint": f"{PDP}/tenant/evaluate"} | changes)


async def test_metadata_tells_the_endpoint_and_is_believed_for_a_while() -> None:
    pdp = Scripted([metadata(), PERMIT])
    decider = AuthZen(settings(metadata="inserted"), pdp.line)

    for _ in range(2):
        assert await decider.ask(question()) == Yes()

    assert [(said.method, said.url) for said in pdp.said] == [
        ("GET", f"{PDP}/.well-known/authzen-configuration"),
        ("POST", f"{PDP}/tenant/evaluate"),
        ("POST", f"{PDP}/tenant/evaluate"),
    ]


@pytest.mark.parametrize(
    ("where", "url"),
    [
        ("inserted", "https://sso.example.com/.well-known/authzen-configuration/realms/corp"),
        ("appended", "https://sso.example.com/realms/corp/.well-known/authzen-configuration"),
        ("https://sso.example.com/meta", "https://sso.example.com/meta"),
    ],
)
async def test_metadata_is_where_the_settings_say(where: str, url: str) -> None:
    pdp_url = "https://sso.example.com/realms/corp"
    endpoint = f"{pdp_url}/authzen/access/v1/evaluation"
    said = metadata(policy_decision_point=pdp_url, access_evaluation_endpoint=endpoint)
    pdp = Scripted([said, PERMIT])

    await AuthZen(settings(url=pdp_url, metadata=where, preset="keycloak"), pdp.line).ask(question())

    assert [said.url for said in pdp.said] == [url, endpoint]


@pytest.mark.parametrize(
    "changes",
    [
        {"policy_decision_point": "https://pdp.example.com.evil.example"},
        {"policy_decision_point": None},
        {"access_evaluation_endpoint": "https://evil.example/access/v1/evaluation"},
        {"access_evaluation_endpoint": "http://pdp.example.com/access/v1/evaluation"},
        {"access_evaluation_endpoint": "https://pdp.example.com:8443/access/v1/evaluation"},
        {"access_evaluation_endpoint": "https://x@pdp.example.com/access/v1/evaluation"},
        {"access_evaluation_endpoint": 1},
        {"access_evaluation_endpoint": None},
    ],
)
async def test_metadata_sends_us_nowhere_else(changes: dict[str, Any], tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("ours")
    pdp = Scripted([metadata(**changes), PERMIT])

    with pytest.raises(DeciderMisconfigured):
        await AuthZen(settings(metadata="inserted", bearer_file=secret), pdp.line).ask(question())

    assert [said.method for said in pdp.said] == ["GET"]
    assert "authorization" not in pdp.said[0].headers


async def test_absent_metadata_is_ours_to_mend_and_asked_for_again() -> None:
    pdp = Scripted([json_reply({}, 404), metadata(), PERMIT])
    decider = AuthZen(settings(metadata="inserted"), pdp.line)

    with pytest.raises(DeciderMisconfigured):
        await decider.ask(question())

    assert await decider.ask(question()) == Yes()
