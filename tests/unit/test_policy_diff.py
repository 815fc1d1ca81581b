"""Who can, and who gains and who loses between two policies: by the rules, and by decisions that were made."""

from datetime import date
from typing import Any

import pytest

from pgbearer.policy.diff import compare, elsewhere, expired, replay
from pgbearer.policy.who_can import who_can
from tests.unit.logins import READERS, compiled, settings
from tests.unit.recorded_logins import recorded, recorded_outcome

WRITERS = "{name: writers, any_role: [db-write], databases: [appdb], roles: [app_readwrite]}"
LEAVERS = "{name: leavers, deny: true, any_group: [/leavers]}"


@pytest.mark.parametrize(
    ("rule", "role", "who"),
    [
        ("any_role: [a, b], roles: [r]", "r", ["token role a or b"]),
        ("all_roles: [a, b], roles: ['r*']", "rx", ["token roles a and b"]),
        ("any_group: [/g], roles: [r]", "r", ["group /g"]),
        ("any_organization: [o], roles: [r]", "r", ["organization o"]),
        ("roles: [r]", "r", ["everybody"]),
        ("any_role: [a], roles: [r]", "q", []),
        ("any_role: [a], roles: ['r?']", "r", []),
        ("roles_from: {claim: token_roles, strip: 'pg:'}", "r", ['"pg:r" in token_roles']),
        ("roles: ['u_{sub}']", "u_7", ["u_{sub} is u_7"]),
        ("roles: ['u_{sub}']", "v_7", []),
        ("any_role: [a], roles: [r], from: [10.0.0.0/8]", "r", ["token role a, from 10.0.0.0/8"]),
        ("any_role: [a], roles: [r], servers: [local]", "r", ["token role a, server local"]),
        ("roles: [r], issuers: [corp], when: claims.level > 2", "r", ["issuer corp, when claims.level > 2"]),
        ("roles: [r], expires: 2027-01-31", "r", ["until 2027-01-31"]),
        ("any_role: [a], roles: [r], privileged: true", "r", ["token role a (also if the role is privileged)"]),
        ("any_role: [a], roles: ['r*'], privileged: true", "r", ["token role a"]),
        ("any_role: [a], roles: [r], replication: [logical]", "r", ["token role a, a logical replication connection"]),
    ],
)
def test_who_can(rule: str, role: str, who: list[str]) -> None:
    found = who_can(settings(f"{{name: one, databases: [d], {rule}}}"), role, "d")
    assert [way.who for way in found.ways] == who
    assert who_can(settings(f"{{name: one, databases: [d], {rule}}}"), role, "other").ways == ()


def test_who_never_can_is_told_too() -> None:
    other = "{name: hr only, deny: true, databases: [payroll], any_role: [intern]}"
    found = who_can(settings(READERS, LEAVERS, other), "app_readonly", "appdb")
    assert [(way.rule, way.who) for way in found.never] == [("leavers", "group /leavers")]


TODAY = date(2027, 2, 1)


def test_an_expired_rule_is_no_way_and_keeps_nobody_out() -> None:
    """It holds to the end of its last day."""
    past, last_day = "expires: 2027-01-31", "expires: 2027-02-01"
    rules = (READERS.replace("}", f", {past}}}"), WRITERS, LEAVERS.replace("}", f", {past}}}"))
    found = who_can(settings(*rules), "app_readonly", "appdb", today=TODAY)
    assert (found.ways, found.never) == ((), ())
    assert [(way.rule, bool(way.session)) for way in found.past] == [("readers", True), ("leavers", False)]
    found = who_can(settings(*(rule.replace(past, last_day) for rule in rules)), "app_readonly", "appdb", today=TODAY)
    assert [way.rule for way in (*found.ways, *found.never)] == ["readers", "leavers"]
    assert found.past == ()


def test_an_expired_rule_is_no_gain_and_no_loss() -> None:
    past, live = (settings(READERS.replace("}", f", expires: {day}}}")) for day in ("2027-01-31", "2027-02-01"))
    assert compare(settings(), past, today=TODAY) == compare(past, settings(), today=TODAY) == ()
    (gain,) = compare(past, live, today=TODAY)
    assert (gain.kind, gain.why) == ("gains", 'the rule "readers" has changed: expires 2027-01-31 -> 2027-02-01')
    assert expired(settings(), past, TODAY) == ('the rule "readers" of the new file expired on 2027-01-31',)
    assert expired(live, settings(), TODAY) == ()


def changes(old: list[str], new: list[str]) -> list[tuple[str, str, list[str]]]:
    return [
        (change.kind, change.who, [str(place) for place in change.places])
        for change in compare(settings(*old), settings(*new))
    ]


READ = "{name: readers, %s, databases: [appdb], roles: [app_readonly]}"
APPDB = ["app_readonly in appdb"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([], [], []),
        ([READERS], [READERS], []),
        ([READERS, WRITERS], [WRITERS, READERS], []),
        ([READERS], [READERS.replace("readers", "renamed")], []),
        ([READ % "any_role: [a, b]"], [READ % "any_role: [b, a]"], []),
        (
            [READ % "any_role: [a, b]"],
            [READ % "any_role: [a]", READ.replace("readers", "more") % "any_role: [b]"],
            [],
        ),
        ([], [READERS], [("gains", "token role db-read", APPDB)]),
        ([READERS], [], [("loses", "token role db-read", APPDB)]),
        (
            [READ % "any_role: [a]"],
            [READ % "any_role: [b]"],
            [("gains", "token role b", APPDB), ("loses", "token role a", APPDB)],
        ),
        (
            [READ % "any_role: [a]"],
            [READ % "any_role: [a], from: [10.0.0.0/8]"],
            [("loses", "token role a", APPDB)],
        ),
        (
            [READ % "any_role: [a], from: [10.0.0.0/8]"],
            [READ % "any_role: [a]"],
            [("gains", "token role a", APPDB)],
        ),
        (
            [READ % "any_role: [a]"],
            [READ % "any_role: [a]", READ.replace("readers", "x") % "all_roles: [c]"],
            [("gains", "token roles c", APPDB)],
        ),
        (
            [READ % "any_role: [a]"],
            [READ % "any_role: [a], session: {max: 8h}"],
            [("session", "token role a: after 8h", APPDB)],
        ),
        (
            [READ % "any_role: [a]"],
            [READ % "any_role: [a], privileged: true"],
            [("gains", "token role a (also if the role is privileged)", APPDB)],
        ),
        ([READERS], [READERS, LEAVERS], [("refused", "group /leavers", ["* in *"])]),
        ([READERS, LEAVERS], [READERS], [("no longer refused", "group /leavers", ["* in *"])]),
        (
            [READERS, LEAVERS],
            [READERS, LEAVERS.replace("deny: true", "deny: true, databases: [appdb]")],
            [("no longer refused", "group /leavers", ["* in *"])],
        ),
    ],
)
def test_who_gains_and_who_loses(old: list[str], new: list[str], expected: list[tuple[str, str, list[str]]]) -> None:
    assert changes(old, new) == expected


def test_a_pattern_that_takes_the_place_of_a_name_gives_only_the_rest() -> None:
    old = ["{name: one, any_role: [a], databases: [appdb], roles: [r]}"]
    new = ["{name: one, any_role: [a], databases: ['app*'], roles: [r]}"]
    assert changes(old, new) == [("gains", "token role a", ["r in app*"])]
    assert changes(new, old) == [("loses", "token role a", ["r in app*"])]


def test_names_within_a_pattern_are_told_one_by_one() -> None:
    new = [READERS, "{name: all, any_role: [a], databases: ['app*'], roles: ['*']}"]
    assert changes([READERS], new) == [("gains", "token role a", ["* in app*", "app_readonly in appdb"])]


def test_the_reason_is_the_rule_and_what_became_of_it() -> None:
    (gone, more) = compare(settings(READ % "any_role: [a]", WRITERS), settings(READ % "any_role: [a, b]"))[::-1]
    assert more.why == 'the rule "readers" has changed: any_role a -> a, b'
    assert gone.why == 'the rule "writers" is gone'


def test_issuers_that_differ_are_told() -> None:
    old = settings(READERS)
    corp = old.issuers["corp"].model_copy(update={"clients": ("other",)})
    new = old.model_copy(update={"issuers": {**old.issuers, "corp": corp}})
    assert elsewhere(old, new) == (f"issuers.corp.clients: {', '.join(old.issuers['corp'].clients)} -> other",)
    assert elsewhere(old, old) == ()
    corp = old.issuers["corp"].model_copy(update={"claims": {"team": "string", "n": "int"}})
    (said,) = elsewhere(old, old.model_copy(update={"issuers": {**old.issuers, "corp": corp}}))
    assert said.endswith("-> team: string, n: int")


def test_recorded_decisions_are_made_again_by_both() -> None:
    old, new = compiled(READERS), compiled(WRITERS)
    entries: list[dict[str, Any]] = [recorded_outcome(old) for _ in range(3)]
    entries += [recorded_outcome(old, token_roles=frozenset()), recorded(None)]
    replayed = replay(old, new, entries)
    assert (replayed.asked, replayed.passed_over) == (4, 1)
    (shift,) = replayed.shifts
    assert (shift.before, shift.after, shift.count) == ("allow for 10h", "deny no_rule", 3)
    assert (shift.identity, shift.display, str(shift.place)) == ("corp:4f7c", "alice", "app_readonly in appdb")
    assert shift.why == "readers -> no rule"
    assert shift.decision_id == entries[2]["decision_id"]


def test_the_same_decision_by_another_rule_is_no_shift() -> None:
    old, new = compiled(READERS), compiled(READERS.replace("readers", "renamed"))
    assert replay(old, new, [recorded_outcome(old)]).shifts == ()
