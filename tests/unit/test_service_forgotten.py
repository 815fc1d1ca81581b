"""What an audit tells of revocations that are not kept any more."""

import json
from typing import Any

import pytest

from pgbearer.service.forgotten import forgotten
from pgbearer.service.revoking import entry
from pgbearer.tokens import Revocation, Revocations

NOW = 1_800_000_000


def revocation(name: str, value: str, **changes: Any) -> Revocation:
    """Of a subject, until it is lifted."""
    members: dict[str, Any] = {"id": name * 12, "kind": "sub", "value": value, "made_at": NOW - 60}
    return Revocation(**(members | {"until": None, "peer_uid": 0} | changes))


def line(kind: str, one: Revocation) -> bytes:
    """As the audit has it."""
    members = {"seq": 1, "prev": "", "kind": kind, "peer_uid": 0, "revocation": entry(one)}
    return json.dumps(members, separators=(",", ":")).encode() + b"\n"


ALICE, BOB = revocation("a", "alice"), revocation("b", "bob")


@pytest.mark.parametrize(
    ("lines", "kept", "missing"),
    [
        ([], [], ()),
        ([line("revoke", ALICE), line("revoke", BOB)], [ALICE, BOB], ()),
        ([line("revoke", ALICE), line("revoke", BOB)], [BOB], (ALICE.id,)),
        ([line("revoke", ALICE), line("lift", ALICE)], [], ()),
        ([line("revoke", ALICE), line("lift", ALICE), line("revoke", ALICE)], [], (ALICE.id,)),
        ([line("revoke", ALICE)], [revocation("c", "alice")], ()),
        ([line("revoke", ALICE)], [revocation("c", "alice", issuer="https://other.example.com")], (ALICE.id,)),
        ([line("revoke", revocation("d", "dave", until=NOW))], [], ()),
        ([line("revoke", revocation("d", "dave", until=NOW + 1))], [], ("d" * 12,)),
        ([line("revoke", revocation("d", "", kind="before", before=NOW))], [], ("d" * 12,)),
        ([line("decision", ALICE)], [], ()),
    ],
)
def test_what_the_audit_tells_of_and_is_not_kept(
    lines: list[bytes], kept: list[Revocation], missing: tuple[str, ...]
) -> None:
    assert forgotten(lines, Revocations(kept), NOW) == missing


@pytest.mark.parametrize(
    "junk",
    [
        b'{"kind":"revoke"',
        b'"kind":"revoke"',
        b'{"kind":"revoke","revocation":3}',
        b'{"kind":"revoke","revocation":{"id":4}}',
        b"[" * 100_000 + b'"kind":"revoke"',
    ],
)
def test_what_is_no_line_is_passed_over(junk: bytes) -> None:
    assert forgotten([junk, line("revoke", ALICE)], Revocations(), NOW) == (ALICE.id,)


def test_an_end_that_cannot_be_read_is_taken_for_none() -> None:
    odd = line("revoke", ALICE).replace(b'"until":null', b'"until":"soon"')
    assert forgotten([odd], Revocations(), NOW) == (ALICE.id,)
