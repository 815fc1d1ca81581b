"""A decision can be made again from its record alone, and the record holds nothing that names one token or session."""

import json
from dataclasses import replace
from typing import Any

import pytest

from pgbearer.policy import evaluate
from pgbearer.policy.recorded import RecordError, decide_again, question_of
from pgbearer.service.exchange import Peer
from pgbearer.service.judge import Judgement
from pgbearer.service.recording import login_record
from pgbearer.wire import Client, LoginRequest, Reason, Replication, RoleAttributes, Tls
from tests.unit.logins import NOW, READERS, compiled, request, verified
from tests.unit.recorded_logins import recorded

MILLISECONDS = NOW * 1000
RICH: dict[str, Any] = {"acr": "mfa", "level": 3, "mfa": True, "teams": ("a", "b")}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"address": None},
        {"address": "10.1.2.3"},
        {"client": Client(address="::1", port=1, tls=Tls(version="TLSv1.3", cipher="x", client_cert_sha256="ab"))},
        {"role_attributes": RoleAttributes(exists=True, createdb=True, member_of=frozenset({"pg_read_all_data"}))},
        {"replication": Replication.LOGICAL},
        {"now": MILLISECONDS + 250},
    ],
)
def test_the_question_is_what_it_was(changes: dict[str, Any]) -> None:
    asked = question_of(recorded(verified(claims=RICH), **changes))
    assert asked.verified == verified(claims=RICH, token_id=None, session_id=None, token_ref=asked.verified.token_ref)
    expected = request(**changes)
    assert (asked.server, asked.now) == ("local", NOW)
    for name in ("role", "database", "replication", "role_attributes", "hba", "client", "now", "application_name"):
        assert getattr(asked.request, name) == getattr(expected, name), name


@pytest.mark.parametrize("roles", [frozenset(), frozenset({"db-read"})])
def test_the_decision_is_the_same(roles: frozenset[str]) -> None:
    rules = compiled(READERS)
    token = verified(token_roles=roles)
    assert decide_again(rules, question_of(recorded(token))) == evaluate(
        rules, token, request(), server="local", now=NOW
    )


def test_nothing_in_it_names_the_token_or_the_session() -> None:
    text = json.dumps(recorded(verified(token_id="jti-of-this-token", session_id="sid-of-this-session")))
    for secret in ("header.payload", "signature", "jti-of-this-token", "sid-of-this-session"):
        assert secret not in text


def test_neither_memory_nor_the_line_keeps_them() -> None:
    token = verified(token_id="jti-of-this-token", session_id="sid-of-this-session")
    login = LoginRequest(1, "a.b.c", request())
    judgement = Judgement(reason=Reason.NO_RULE, verified=token)
    record = login_record(login, judgement, policy="", server="local", peer=Peer(1, 26, 26), at=MILLISECONDS)
    assert record.facts is not None
    assert "of-this" not in repr(record.facts)
    assert "of-this" not in json.dumps(replace(record.facts, token=token).entry())


def test_a_refused_token_leaves_no_claims() -> None:
    entry = recorded(None)
    assert entry["facts"]["token"] is None
    with pytest.raises(RecordError, match="did not get as far as the rules"):
        question_of(entry)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda entry: entry.pop("facts"),
        lambda entry: entry.update(facts=None),
        lambda entry: entry["facts"].pop("hba"),
        lambda entry: entry["facts"].update(hba=[]),
        lambda entry: entry["facts"]["token"].update(scopes="openid"),
        lambda entry: entry["facts"]["token"].pop("subject"),
        lambda entry: entry.update(time="yesterday"),
        lambda entry: entry.update(client=None),
        lambda entry: entry.update(role=None),
        lambda entry: entry.update(database=None),
        lambda entry: entry.update(replication="some"),
    ],
)
def test_a_record_of_another_form_is_said_to_be_one(spoil: Any) -> None:
    entry = recorded(verified())
    spoil(entry)
    with pytest.raises(RecordError):
        question_of(entry)


def test_a_policy_without_that_issuer_cannot_be_asked() -> None:
    with pytest.raises(RecordError, match="no issuer 'gone'"):
        decide_again(compiled(READERS), question_of(recorded(verified(issuer="gone"))))
