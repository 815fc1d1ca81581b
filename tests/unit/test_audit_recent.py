"""The ring of recent decisions and its filters."""

import pytest

from pgbearer.audit import Recent, Remembered, Search
from pgbearer.audit.recent import CAPACITY, JUNK_CAPACITY, UNVOUCHED_CAPACITY
from pgbearer.wire import Reason
from tests.parts.records import allowed_record, refused_record


@pytest.fixture
def recent() -> Recent:
    recent = Recent()
    recent.add(Remembered(allowed_record(decision_id="one", at=1_000)))
    recent.add(Remembered(allowed_record(decision_id="two", at=2_000, reason=Reason.NO_RULE, identity="corp:u2")))
    recent.add(Remembered(refused_record(decision_id="three", at=3_000, role="postgres", token_ref="abcdefabcdef")))
    return recent


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (Search(), ["three", "two", "one"]),
        (Search(limit=2), ["three", "two"]),
        (Search(identity="corp:u2"), ["two"]),
        (Search(role="app_readonly"), ["two", "one"]),
        (Search(reason="signature_invalid"), ["three"]),
        (Search(since=2_000), ["three", "two"]),
        (Search(role="app_readonly", reason="allowed"), ["one"]),
        (Search(identity="nobody"), []),
    ],
)
def test_filters_narrow_and_the_newest_comes_first(recent: Recent, search: Search, found: list[str]) -> None:
    assert [known.record.decision_id for known in recent.search(search)] == found


def test_a_decision_is_found_by_id_or_by_the_token_ref_the_client_printed(recent: Recent) -> None:
    for name in ("three", "abcdefabcdef"):
        known = recent.find(name)
        assert known is not None
        assert known.record.decision_id == "three"
    assert recent.find("four") is None


def test_memory_is_bounded_and_a_flood_does_not_push_out_the_rest() -> None:
    recent = Recent()
    recent.add(Remembered(allowed_record(decision_id="kept")))
    junk = Remembered(refused_record())
    for _ in range(CAPACITY + 5):
        recent.add(junk, junk=True)
    assert len(recent) == JUNK_CAPACITY + 1
    assert recent.find("kept") is not None
    for _ in range(CAPACITY):
        recent.add(Remembered(allowed_record()))
    assert recent.find("kept") is None


def test_nobody_without_a_token_makes_a_decision_about_a_person_be_forgotten() -> None:
    """A few failures of each kind have lines of their own in each window: with patience that is any number."""
    recent = Recent()
    recent.add(Remembered(allowed_record(decision_id="allowed")))
    recent.add(Remembered(refused_record(decision_id="expired", authentic=True)))
    for _ in range(2 * CAPACITY):
        recent.add(Remembered(refused_record()))
    assert len(recent) == UNVOUCHED_CAPACITY + 2
    assert recent.find("allowed") is not None
    assert recent.find("expired") is not None
