"""Floods in the audit: what becomes a number, and what has a line of its own all the same."""

import time
from pathlib import Path

from pgbearer.audit import Aggregator, AuditLog, DecisionRecord
from pgbearer.audit.aggregate import FIRST_IN_FULL, MOST_IDENTITIES, MOST_ROLES
from pgbearer.wire import Reason
from tests.parts.records import allowed_record, refused_record
from tests.unit.audit_lines import entries, holds
from tests.unit.fix_audit import Open


def test_a_flood_of_unverified_failures_becomes_a_number(open_log: Open, audit_file: Path) -> None:
    log = open_log()
    at = 1_767_225_600_000
    own_lines = [log.write(refused_record(decision_id=f"d{n}", at=at)) for n in range(100)]
    assert own_lines == [True] * FIRST_IN_FULL + [False] * (100 - FIRST_IN_FULL)
    log.flush()
    *lines, last = entries(audit_file)
    assert len(lines) == FIRST_IN_FULL
    assert all(line["verified"] is False for line in lines)
    assert {
        "kind": "aggregate",
        "verified": False,
        "count": 95,
        "server": "local",
        "reason": "signature_invalid",
        "last_decision_id": "d99",
        "since": "2026-01-01T00:00:00.000Z",
    }.items() <= last.items()
    log.flush()
    assert len(entries(audit_file)) == FIRST_IN_FULL + 1
    assert holds(audit_file)


def test_a_flood_hides_no_other_kind_nor_anything_verified(open_log: Open, audit_file: Path) -> None:
    log = open_log()
    for _ in range(20):
        log.write(refused_record())
    assert log.write(refused_record(server="other"))
    assert log.write(refused_record(reason=Reason.TOKEN_EXPIRED))
    assert all(log.write(allowed_record(reason=Reason.NO_RULE)) for _ in range(20))
    assert all(log.write(allowed_record()) for _ in range(20))


def test_a_flood_of_one_issued_token_is_counted_and_hides_no_other_token(open_log: Open, audit_file: Path) -> None:
    log = open_log()

    def refuse(token_ref: str) -> bool:
        return log.write(refused_record(reason=Reason.TOKEN_EXPIRED, authentic=True, token_ref=token_ref))

    assert [refuse("a" * 12) for _ in range(20)] == [True] * FIRST_IN_FULL + [False] * (20 - FIRST_IN_FULL)
    assert refuse("b" * 12)
    log.flush(everything=True)
    last = entries(audit_file)[-1]
    assert (last["token_ref"], last["authentic"], last["count"]) == ("a" * 12, True, 20 - FIRST_IN_FULL)


def denied(
    identity: str, *, at: int = 0, role: str = "payroll_owner", reason: Reason = Reason.NO_RULE
) -> DecisionRecord:
    """A verified person whom no rule lets in; `at` in milliseconds."""
    start = 1_767_225_600_000
    return allowed_record(
        reason=reason, identity=identity, ends_at=None, role=role, at=start + at, decision_id=f"d{at}"
    )


def test_what_one_identity_is_denied_past_its_budget_is_counted(open_log: Open, audit_file: Path) -> None:
    """A person without rights cannot fill the audit; what they were after can still be told."""
    log = open_log()
    log.limit(denials_per_minute=6)
    assert [log.write(denied("corp:mallory", at=n, role=f"r{n % 2}")) for n in range(100)] == [True] * 6 + [False] * 94
    assert log.write(denied("corp:alice"))
    assert all(log.write(allowed_record(identity="corp:mallory")) for _ in range(100))
    log.flush(everything=True)
    *_, last = entries(audit_file)
    assert {
        "kind": "aggregate",
        "verified": True,
        "authentic": True,
        "identity": "corp:mallory",
        "roles": ["r0", "r1"],
        "token_ref": None,
        "reason": "no_rule",
        "count": 94,
        "last_decision_id": "d99",
    }.items() <= last.items()
    assert len(entries(audit_file)) == 6 + 1 + 100 + 1
    assert holds(audit_file)


def test_a_budget_fills_with_time_and_a_clock_set_back_takes_nothing(open_log: Open) -> None:
    log = open_log()
    log.limit(denials_per_minute=6)

    def lines(*moments: int) -> list[bool]:
        return [log.write(denied("corp:mallory", at=at)) for at in moments]

    assert lines(*[0] * 7) == [True] * 6 + [False]
    assert lines(9_000, 11_000, 11_000) == [False, True, False]
    assert lines(-60_000) == [False]
    assert lines(*[600_000] * 7) == [True] * 6 + [False]


def test_reasons_are_counted_apart_but_cost_one_budget(open_log: Open, audit_file: Path) -> None:
    log = open_log()
    log.limit(denials_per_minute=1)
    for reason in (Reason.NO_RULE, Reason.NO_RULE, Reason.DENIED_BY_RULE, Reason.DENIED_BY_RULE):
        log.write(denied("corp:mallory", reason=reason))
    log.flush(everything=True)
    assert [(line["reason"], line.get("count")) for line in entries(audit_file)] == [
        ("no_rule", None),
        ("no_rule", 1),
        ("denied_by_rule", 2),
    ]


def test_what_is_kept_of_identities_is_bounded() -> None:
    aggregator = Aggregator()
    aggregator.denials_per_minute = 1
    for number in range(MOST_IDENTITIES + 500):
        assert not aggregator.absorb(denied(f"corp:{number}"))
        aggregator.absorb(denied("corp:mallory", role=f"r{number}"))
    assert len(aggregator._budgets) == MOST_IDENTITIES
    assert aggregator.absorb(denied("corp:mallory")), "who is denied all the time is not forgotten"
    (tally,) = aggregator.pending()
    assert len(tally.roles) == MOST_ROLES


def test_closing_writes_what_was_still_counted(audit_file: Path) -> None:
    log = AuditLog(str(audit_file), instance="one")
    now = time.time_ns() // 1_000_000
    for _ in range(FIRST_IN_FULL + 3):
        log.write(refused_record(at=now))
    log.flush()
    assert len(entries(audit_file)) == FIRST_IN_FULL
    log.close()
    assert entries(audit_file)[-1]["count"] == 3
