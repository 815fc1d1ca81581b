"""Whoever acts for somebody: tokens whose ``act`` is not what it must be, and denials that acting would escape."""

from collections.abc import Iterator
from typing import Any

import pytest

from pgbearer.tokens.actors import MAX_CHAIN
from pgbearer.wire import Reason
from tests.attacks.cases import Case, claims, name_of, outcome
from tests.attacks.fix_door import Door
from tests.issuer import ABSENT

ALICE = "f1a6bb5e-6f40-4b4e-8b55-5f2b29a35b2e"
BOT = "0b8a3c52-1d43-4a0e-9d7c-2f6f0d6f9a11"
AGENTS: dict[str, Any] = {
    "agents": {
        "notes": {"clients": ("notes-tools",), "subjects": (BOT,)},
        "mail": {"clients": ("mail-tools",)},
        "batch": {"subjects": ("batch-bot",)},
    }
}
EXCHANGED = "onrtte:1"
"""A ``jti`` of Keycloak's token exchange."""
ACTING = {"sub": BOT, "client_id": "notes-tools"}
REFUSED, KIND = Reason.ACTOR_NOT_ALLOWED, Reason.TOKEN_KIND


def nested(depth: int, innermost: object = None) -> dict[str, Any]:
    """An ``act`` with others in it, each of somebody else."""
    act: dict[str, Any] = {"sub": f"agent-{depth}"} if innermost is None else {"sub": "last", "act": innermost}
    for level in reversed(range(1, depth)):
        act = {"sub": f"agent-{level}", "act": act}
    return {**act, **ACTING}


def act(name: str, value: object, reason: Reason = REFUSED, **changes: Any) -> Case:
    """A token of an exchange by the client of notes, with this ``act``."""
    usual = {"jti": EXCHANGED, "azp": "notes-tools", "act": value}
    return claims(name, reason, settings=AGENTS, **(usual | changes))


NOT_OBJECTS: tuple[object, ...] = (
    "notes",
    "",
    '{"sub": "notes-tools"}',
    None,
    True,
    False,
    0,
    1.5,
    [],
    [ACTING],
    [[ACTING]],
)
NOT_TEXTS: tuple[object, ...] = (
    None,
    True,
    7,
    [],
    {},
    [BOT],
    "",
    " ",
    f" {BOT}",
    "bot\n",
    "bot\0",
    "bot\u202e",
    "b" * 256,
)

MALFORMED = (
    *(act(f"act is {value!r}", value) for value in NOT_OBJECTS),
    act("act, empty", {}),
    act("act without sub", {"client_id": "notes-tools"}),
    *(act(f"sub of act is {value!r}", {**ACTING, "sub": value}) for value in NOT_TEXTS),
    *(act(f"client of act is {value!r}", {**ACTING, "client_id": value}) for value in NOT_TEXTS),
    *(act(f"issuer of act is {value!r}", {**ACTING, "iss": value}) for value in NOT_TEXTS),
    *(act(f"act within act is {value!r}", {**ACTING, "act": value}) for value in NOT_OBJECTS),
    act("act within act is empty", {**ACTING, "act": {}}),
    act("act within act has a list as sub", {**ACTING, "act": {"sub": [BOT]}}),
    act("longer than any chain", nested(MAX_CHAIN + 1)),
    act("ends in something else", nested(3, innermost="agent")),
    act("nested a hundred deep", nested(100), Reason.TOKEN_MALFORMED),
)

WHO = (
    act("of a stranger", {"sub": "stranger"}, azp="pgbearer-cli"),
    act("of a stranger's client", {"sub": "stranger", "client_id": "pgbearer-cli"}, azp="pgbearer-cli"),
    act("of no agent though by an agent's client", {"sub": "stranger"}),
    act("of the subject itself", {"sub": ALICE}),
    act("of the subject itself with an agent's client", {"sub": ALICE, "client_id": "notes-tools"}),
    act("of the subject itself in a chain", {**ACTING, "act": {"sub": ALICE}}),
    act("of the agent twice", {**ACTING, "act": ACTING}),
    act("of an agent's client with another subject", {"sub": "other", "client_id": "notes-tools"}),
    act("of an agent's subject with another client", {"sub": BOT, "client_id": "mail-tools"}),
    act("of an agent's name only", {"sub": "notes"}, azp="pgbearer-cli"),
    act("of another issuer", {**ACTING, "iss": "https://other.example/realms/demo"}),
    act("of an agent, by another agent's client", ACTING, azp="mail-tools"),
    act("swapped: the one before stands outside", {"sub": "batch-bot", "act": ACTING}),
    act("of a person who is a client's name", {"sub": "notes-tools"}, azp="pgbearer-cli"),
    act("in a token of a login", ACTING, jti="onrtdg:1"),
    act("in a token of impersonation", {"sub": BOT, "preferred_username": "admin"}, jti="onrtac:1", azp="pgbearer-cli"),
    act("in a token whose jti says nothing", ACTING, jti="1"),
    claims("act where the issuer has no agents", REFUSED, jti=EXCHANGED, act=ACTING, azp="pgbearer-cli"),
    claims("exchanged by a person's client", KIND, settings=AGENTS, jti=EXCHANGED),
    claims("exchanged by a person's client that may act", KIND, settings=AGENTS, jti=EXCHANGED, may_act={"sub": BOT}),
    claims("exchanged by a client of nobody", KIND, settings=AGENTS, jti=EXCHANGED, azp="other-tools"),
    claims("by a client of nobody", Reason.CLIENT_NOT_ALLOWED, settings=AGENTS, azp="other-tools"),
    claims("by an agent's client in other case", Reason.CLIENT_NOT_ALLOWED, settings=AGENTS, azp="Notes-Tools"),
    claims("by an agent of an issuer without", Reason.CLIENT_NOT_ALLOWED, azp="notes-tools"),
    claims("by an agent's name", Reason.CLIENT_NOT_ALLOWED, settings=AGENTS, azp="notes"),
    claims("by an agent, offline", KIND, settings=AGENTS, azp="notes-tools", jti="ofrtte:1"),
    claims(
        "by an agent, client_id says another",
        Reason.CLIENT_NOT_ALLOWED,
        settings=AGENTS,
        azp="notes-tools",
        client_id="pgbearer-cli",
    ),
)

CASES = (*MALFORMED, *WHO)


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_refused(case: Case) -> None:
    assert await outcome(case) is case.reason


@pytest.mark.parametrize("case", [case for case in CASES if case.at_login], ids=name_of)
def test_refused_at_login(door: Door, case: Case) -> None:
    assert door.refusal(case) == case.reason


AS_KEYCLOAK_26_8: dict[str, Any] = {
    "jti": "trrtte:8d1c",  # of a session of its own, that nobody sees
    "sid": ABSENT,
    "act": {
        **ACTING,
        "iss": "https://sso.example.com/realms/demo",
        "email": "bot@example.com",
        "act": {"sub": "planner"},
    },
}


async def test_the_same_unspoilt_are_accepted() -> None:
    as_26_8 = claims("26.8", Reason.ALLOWED, settings=AGENTS, azp="notes-tools", **AS_KEYCLOAK_26_8)
    assert await outcome(as_26_8) is Reason.ALLOWED
    assert await outcome(act("good", ACTING, Reason.ALLOWED)) is Reason.ALLOWED
    assert await outcome(act("long", nested(MAX_CHAIN), Reason.ALLOWED)) is Reason.ALLOWED
    assert (
        await outcome(claims("no act", Reason.ALLOWED, settings=AGENTS, jti=EXCHANGED, azp="notes-tools"))
        is Reason.ALLOWED
    )


READERS = {"name": "readers", "any_role": ["db-read"], "databases": ["*"], "roles": ["app_readonly"]}
NOTES = READERS | {"name": "notes reads", "actor": ["notes"], "roles": ["app_readonly"]}
LEAVERS = {"name": "leavers", "deny": True, "any_group": ["/leavers"]}
BY_NOTES = {"azp": "notes-tools", "jti": EXCHANGED}


def by_notes(door: Door, **changes: Any) -> str:
    """A token of alice's that notes has exchanged."""
    return door.issuer.token(**(BY_NOTES | changes))


@pytest.fixture
def acting(door: Door) -> Iterator[Door]:
    """The door, where the agent notes may have what alice may read, and whoever is leaving may have nothing."""
    yield door
    door.with_usual_rules()


def test_an_agent_gets_only_what_rules_for_agents_give(acting: Door) -> None:
    acting.with_rules([READERS], **AGENTS)
    assert acting.refused(by_notes(acting)) == Reason.AGENT_NOT_ALLOWED
    acting.with_rules([READERS, NOTES], **AGENTS)
    with acting.chain.login(token=by_notes(acting)):
        pass
    with acting.chain.login(token=acting.issuer.token()):
        pass
    assert acting.refused(by_notes(acting, azp="mail-tools")) == Reason.AGENT_NOT_ALLOWED


def test_the_audit_names_the_agent_and_who_acted_before(acting: Door) -> None:
    acting.with_rules([NOTES], **AGENTS)
    before = {"sub": "planner-bot", "client_id": "planner"}
    with acting.chain.login(token=by_notes(acting, act={**ACTING, "act": before})):
        pass
    record = acting.chain.service.decisions()[-1]
    assert (record["identity"], record["actors"]) == (f"corp:{ALICE}", ["notes", "planner"])


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"groups": ["/leavers"]}, Reason.DENIED_BY_RULE),
        ({"groups": ["/staff"]}, Reason.AGENT_SAYS_TOO_LITTLE),
        ({"groups": []}, Reason.AGENT_SAYS_TOO_LITTLE),
    ],
    ids=["she is one", "her group is left out", "no group is left"],
)
def test_a_denial_is_not_escaped_by_acting(acting: Door, said: dict[str, Any], reason: Reason) -> None:
    acting.with_rules([READERS, NOTES, LEAVERS], **AGENTS)
    assert acting.refused(acting.issuer.token(groups=["/leavers"])) == Reason.DENIED_BY_RULE
    assert acting.refused(by_notes(acting, **said)) == reason


def test_an_agent_whose_tokens_say_it_all_is_believed(acting: Door) -> None:
    carrying = {"agents": {"notes": {"clients": ("notes-tools",), "carries": ("groups",)}}}
    acting.with_rules([READERS, NOTES, LEAVERS], **carrying)
    with acting.chain.login(token=by_notes(acting, groups=["/staff"])):
        pass
    assert acting.refused(by_notes(acting, groups=["/leavers"])) == Reason.DENIED_BY_RULE
