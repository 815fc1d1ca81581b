"""Answers as the module reads them."""

import json

from pgbearer.wire import Allowed, Reason, Refused, echo_of, encode_answer, encode_fault
from tests.parts.login import login_request

ECHO = echo_of(login_request(role="app_readonly", database="appdb"))


def test_an_allow_echoes_the_question_and_says_when_it_ends() -> None:
    answer = Allowed(decision_id="d1", identity="corp:u1", ends_at=61_000, claims={"groups": ("a", "b"), "n": 1})
    body = json.loads(encode_answer(answer, ECHO, now_ms=1_000))
    assert body == {
        "v": 1,
        "request_id": ECHO.request_id,
        "role": "app_readonly",
        "database": "appdb",
        "decision": "allow",
        "decision_id": "d1",
        "reason": "allowed",
        "identity": "corp:u1",
        "ends_at": 61_000,
        "ends_in_ms": 60_000,
        "claims": {"groups": ["a", "b"], "n": 1},
    }


def test_a_session_without_an_end_says_null() -> None:
    body = json.loads(encode_answer(Allowed(decision_id="d", identity="i", ends_at=None), ECHO, now_ms=5))
    assert body["ends_at"] is None
    assert body["ends_in_ms"] is None


def test_a_denial_has_its_reason_and_nothing_of_an_allow() -> None:
    body = json.loads(encode_answer(Refused(decision_id="d", reason=Reason.NO_RULE), ECHO, now_ms=5))
    assert body["decision"] == "deny"
    assert body["reason"] == "no_rule"
    assert not {"identity", "ends_at", "ends_in_ms", "claims"} & body.keys()


def test_only_what_json_requires_is_escaped() -> None:
    answer = Allowed(decision_id="d", identity='corp:Zoë"\\\n\x01€😀', ends_at=None)
    body = encode_answer(answer, ECHO, now_ms=0)
    assert 'corp:Zoë\\"\\\\\\n\\u0001€😀'.encode() in body
    assert body.count(b"\\u") == 1
    assert json.loads(body)["identity"] == answer.identity


def test_a_fault_names_its_reason_for_people() -> None:
    assert json.loads(encode_fault(Reason.OVERLOADED, "too many"))["reason"] == "overloaded"
