"""What is remembered of answers, for how long, and under which key: everything that is asked is in it."""

from dataclasses import fields, replace
from typing import Any

import pytest

from pgbearer.deciders import No, Question, Yes
from pgbearer.deciders.memory import MOST_OF_ONE, MOST_REMEMBERED, Keys, Memory, keys_of
from pgbearer.tokens import Revocation, Revocations
from pgbearer.verified import Actor, Verified
from pgbearer.wire import AccessRequest, Client, Hba, Replication, RoleAttributes, Tls
from tests.unit.logins import NOW, request, verified


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def question(**changes: Any) -> Question:
    """The usual login, `changes` to token or request by their names, or the server."""
    server = changes.pop("server", "local")
    person = {name: changes.pop(name) for name in list(changes) if name in Verified.__dataclass_fields__}
    return Question(
        decision_id="d" * 20,
        verified=verified(**person),
        request=request(**changes),
        server=server,
        now=NOW,
        token="header.payload.signature",
    )


USUAL = question()


@pytest.mark.parametrize(
    "change",
    [
        {"server": "pay-eu"},
        {"issuer": "batch"},
        {"issuer_url": "https://other.example.com"},
        {"subject": "other"},
        {"identity": "corp:other"},
        {"session_id": "s2"},
        {"session_id": None},
        {"client": "pgbearer-device"},
        {"actor": Actor(name="notes")},
        {"actor": Actor(name="mail", prior=("notes",))},
        {"acr": "pwd"},
        {"auth_time": NOW - 61},
        {"scopes": frozenset({"more"})},  # one, for a name that is the same in each run
        {"token_roles": frozenset()},
        {"groups": frozenset({"/other"})},
        {"organizations": frozenset({"acme"})},
        {"claims": {"acr": "mfa", "level": 1}},
        {"claims": {"acr": "mfa", "level": True}},
        {"claims": {"acr": "mfa", "level": "1"}},
        {"audience": ("db:pay-eu", "other")},
        {"certificate": "ab" * 32},
        {"role": "app_readwrite"},
        {"role": "APP_READONLY"},
        {"role_attributes": RoleAttributes(exists=True, superuser=True)},
        {"database": "appdb2"},
        {"replication": Replication.LOGICAL},
        {"address": "10.1.2.4"},
        {
            "request_client": Client(
                address="10.1.2.3", port=1, tls=Tls(version="x", cipher="", client_cert_sha256=None)
            )
        },
        {"application_name": "pg_dump"},
        {"hba": Hba(issuer="https://sso.example.com/realms/corp", scopes=(), delegate=True, map=None)},
        {"display": "bob"},
    ],
    ids=str,
)
def test_another_question_has_other_keys(change: dict[str, Any]) -> None:
    other, usual = keys_of(question(**change)), keys_of(USUAL)
    assert other.answer != usual.answer
    assert other.last_yes != usual.last_yes


@pytest.mark.parametrize("change", [{"issued_at": NOW}, {"expires_at": NOW + 1}])
def test_a_fresh_token_is_asked_about_again_but_stands_on_the_last_yes(change: dict[str, Any]) -> None:
    other, usual = keys_of(question(**change)), keys_of(USUAL)
    assert other.answer != usual.answer
    assert other.last_yes == usual.last_yes


def test_only_what_no_decider_is_told_is_in_no_key() -> None:
    same = question(token_id="t9", token_ref="9" * 12, key_id="k9", request_id="f" * 32, now=0)
    assert keys_of(replace(same, decision_id="e" * 20, now=0, token=None)) == keys_of(USUAL)
    left_out = {"token_id", "token_ref", "key_id", "request_id", "now", "backend"}
    members = {one.name for kind in (Verified, AccessRequest) for one in fields(kind)}
    assert left_out <= members, "a member was renamed: see that it is still left out on purpose"


def test_an_answer_is_used_again_for_so_long() -> None:
    clock = Clock()
    memory, keys = Memory(seconds=60, last_yes_seconds=0, steady=clock), keys_of(USUAL)
    memory.remember(keys, USUAL, No(reason="off duty"), epoch=0)
    clock.seconds = 59.9
    assert memory.recall(keys) == No(reason="off duty")
    clock.seconds = 60.0
    assert memory.recall(keys) is None
    assert memory.last_yes_age(keys) is None


def test_by_default_nothing_is_remembered() -> None:
    memory, keys = Memory(seconds=0, last_yes_seconds=0), keys_of(USUAL)
    assert memory.keys_of(USUAL) is None
    memory.remember(keys, USUAL, Yes(), epoch=0)
    assert memory.recall(keys) is None
    assert memory.last_yes_age(keys) is None


def test_a_no_has_the_last_yes_forgotten() -> None:
    clock = Clock()
    memory, keys = Memory(seconds=0, last_yes_seconds=600, steady=clock), keys_of(USUAL)
    memory.remember(keys, USUAL, Yes(), epoch=0)
    clock.seconds = 600.0
    assert memory.last_yes_age(keys) == 600.0
    clock.seconds = 600.1
    assert memory.last_yes_age(keys) is None
    memory.remember(keys, USUAL, Yes(), epoch=0)
    memory.remember(keys, USUAL, No(), epoch=0)
    assert memory.last_yes_age(keys) is None


def revoking(**members: Any) -> Revocations:
    given = {"id": "0" * 12, "value": "", "made_at": NOW, "until": None, "peer_uid": 0} | members
    return Revocations([Revocation.model_validate(given)])


@pytest.mark.parametrize(
    ("revoked", "forgotten"),
    [
        ({"kind": "sub", "value": "4f7c"}, True),
        ({"kind": "sub", "value": "4f7c", "before": NOW}, True),
        ({"kind": "sid", "value": "s1"}, True),
        ({"kind": "jti", "value": "t1"}, True),
        ({"kind": "kid", "value": "k1"}, True),
        ({"kind": "before", "before": NOW}, True),
        ({"kind": "sub", "value": "another"}, False),
        ({"kind": "sid", "value": "s2"}, False),
        ({"kind": "before", "before": NOW - 100}, False),
    ],
)
def test_a_revocation_has_what_was_said_of_its_tokens_forgotten(revoked: dict[str, Any], forgotten: bool) -> None:
    memory, keys = Memory(seconds=60, last_yes_seconds=600, steady=Clock()), keys_of(USUAL)
    memory.remember(keys, USUAL, Yes(), epoch=0)
    memory.forget_revoked(revoking(**revoked), NOW)
    assert (memory.recall(keys) is None) is forgotten
    assert (memory.last_yes_age(keys) is None) is forgotten


def test_an_answer_that_was_under_way_during_a_revocation_is_not_remembered() -> None:
    memory, keys = Memory(seconds=60, last_yes_seconds=600), keys_of(USUAL)
    before = memory.epoch
    memory.forget_revoked(revoking(kind="sub", value="4f7c"), NOW)
    memory.remember(keys, USUAL, Yes(), epoch=before)
    assert memory.recall(keys) is None
    assert memory.last_yes_age(keys) is None


@pytest.mark.parametrize("seconds", [0.0, 30.0])
def test_a_yes_that_a_no_has_overtaken_is_not_remembered(seconds: float) -> None:
    """Both were under way: which of them the decider said last is not known, so the no counts."""
    memory = Memory(seconds=seconds, last_yes_seconds=600, steady=Clock())
    keys = memory.keys_of(USUAL)
    assert keys is not None
    asked = memory.epoch
    memory.remember(keys, USUAL, No(), epoch=asked)
    memory.remember(keys, USUAL, Yes(), epoch=asked)
    assert memory.last_yes_age(keys) is None
    assert memory.recall(keys) == (No() if seconds else None)
    memory.remember(keys, USUAL, Yes(), epoch=memory.epoch)
    assert memory.last_yes_age(keys) == 0
    assert memory.recall(keys) == (Yes() if seconds else None)


def test_a_no_keeps_no_other_yes_from_being_remembered() -> None:
    memory = Memory(seconds=30, last_yes_seconds=600, steady=Clock())
    other = question(database="other")
    keys, others = memory.keys_of(USUAL), memory.keys_of(other)
    assert keys is not None
    assert others is not None
    asked = memory.epoch
    memory.remember(others, other, No(), epoch=asked)
    memory.remember(keys, USUAL, Yes(), epoch=asked)
    assert memory.recall(keys) == Yes()
    assert memory.last_yes_age(keys) == 0


def test_a_no_that_was_forgotten_for_too_many_others_is_not_overtaken_either() -> None:
    memory = Memory(seconds=0, last_yes_seconds=600, steady=Clock())
    keys = memory.keys_of(USUAL)
    assert keys is not None
    asked = memory.epoch
    memory.remember(keys, USUAL, No(), epoch=asked)
    for number in range(MOST_REMEMBERED):
        memory.remember(Keys(b"", number.to_bytes(4)), USUAL, No(), epoch=asked)
    memory.remember(keys, USUAL, Yes(), epoch=asked)
    assert memory.last_yes_age(keys) is None


def test_only_the_keys_that_are_wanted_are_made() -> None:
    both = keys_of(USUAL)
    assert Memory(seconds=1, last_yes_seconds=1).keys_of(USUAL) == both
    assert Memory(seconds=1, last_yes_seconds=0).keys_of(USUAL) == replace(both, last_yes=b"")
    assert Memory(seconds=0, last_yes_seconds=1).keys_of(USUAL) == replace(both, answer=b"")


def remember(memory: Memory, number: int, identity: str) -> Keys:
    """An answer to some question about an identity."""
    keys = Keys(b"%d %s" % (number, identity.encode()), b"%d %s" % (number, identity.encode()))
    memory.remember(keys, question(identity=identity), Yes(), epoch=0)
    return keys


def test_memory_is_bounded() -> None:
    memory = Memory(seconds=60, last_yes_seconds=60, steady=Clock())
    first = remember(memory, 0, "corp:first")
    for number in range(MOST_REMEMBERED):
        remember(memory, number, f"corp:{number}")
    assert memory.recall(first) is None
    assert memory.last_yes_age(first) is None


def test_nobody_has_the_answers_of_others_forgotten() -> None:
    memory = Memory(seconds=60, last_yes_seconds=60, steady=Clock())
    bobs = remember(memory, 0, "corp:bob")
    hers = [remember(memory, number, "corp:mallory") for number in range(MOST_REMEMBERED + 1)]
    assert memory.recall(bobs) == Yes()
    assert memory.last_yes_age(bobs) == 0.0
    kept = [keys for keys in hers if memory.recall(keys)]
    assert kept == hers[-MOST_OF_ONE:]
