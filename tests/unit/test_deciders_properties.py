"""Whatever a decider answers: only the documented yes is one, and what is said of anything else shows none of it."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer.config.decider_kinds import AuthZenDecider, KeycloakDecider, OpaDecider
from pgbearer.deciders import AuthZen, Decider, DeciderError, KeycloakUma, Line, Opa, Yes
from pgbearer.http import Reply
from tests.unit.questions import DECISION_ID, TOKEN, Scripted, json_reply, question

URL = "https://sso.example.com/realms/corp"


def keycloak(line: Line) -> Decider:
    return KeycloakUma(KeycloakDecider(type="keycloak", url=URL, issuer="corp", audience="postgres"), line)


def authzen(line: Line) -> Decider:
    return AuthZen(AuthZenDecider(type="authzen", url=URL), line)


def cerbos(line: Line) -> Decider:
    return AuthZen(AuthZenDecider(type="authzen", url=URL, preset="cerbos"), line)


def opa(line: Line) -> Decider:
    return Opa(OpaDecider(type="opa", url=URL), line)


def says_yes(make: Callable[[Line], Decider], status: int, body: Any) -> bool:
    """Whether this answer is the documented yes, said here once more in other words."""
    if status != 200 or not isinstance(body, dict):
        return False
    match make.__name__:
        case "keycloak":
            return body.get("result") is True
        case "authzen":
            return body.get("decision") is True
        case "cerbos":
            context = body.get("context")
            response = context.get("cerbos.response") if isinstance(context, dict) else None
            named = response.get("requestId") if isinstance(response, dict) else None
            return body.get("decision") is True and named == DECISION_ID
        case _:
            result = body.get("result")
            return isinstance(result, dict) and result.get("allow") is True and result.get("id") == DECISION_ID


NAMES = st.sampled_from(
    ["result", "decision", "allow", "id", "reason", "context", "cerbos.response", "requestId", "results", "error", "x"]
)
LEAVES = st.sampled_from(
    [True, False, None, 1, 0, "true", "", DECISION_ID, "another", "invalid_grant", "access_denied"]
)
BODIES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=8
)
GOOD = st.sampled_from(
    [
        {"result": True},
        {"decision": True},
        {"decision": True, "context": {"cerbos.response": {"requestId": DECISION_ID}}},
        {"result": {"allow": True, "id": DECISION_ID, "reason": "x"}},
    ]
)
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 400, 401, 403, 404, 422])


@pytest.mark.parametrize("make", [keycloak, authzen, cerbos, opa], ids=lambda make: str(make.__name__))
@given(body=BODIES | GOOD, status=STATUSES)
async def test_only_the_documented_yes_is_one(make: Callable[[Line], Decider], body: Any, status: int) -> None:
    reply = json_reply(body, status, x_request_id=DECISION_ID)
    try:
        opinion = await make(Scripted([reply]).line).ask(question(token=TOKEN))
    except DeciderError:
        opinion = None

    assert isinstance(opinion, Yes) == says_yes(make, status, body)


@pytest.mark.parametrize("make", [keycloak, authzen, cerbos, opa], ids=lambda make: str(make.__name__))
@given(data=st.binary(max_size=200), status=STATUSES)
async def test_junk_is_no_yes_and_is_not_repeated(make: Callable[[Line], Decider], data: bytes, status: int) -> None:
    reply = Reply(status, {"content-type": "application/json", "x-request-id": DECISION_ID}, b"sEcReT" + data)
    try:
        said: object = await make(Scripted([reply]).line).ask(question(token=TOKEN))
    except DeciderError as error:
        said = error

    assert not isinstance(said, Yes)
    assert "sEcReT" not in str(said)
