"""Places and buckets, with a clock of the test's own."""

from collections import Counter

import pytest

from pgbearer.service.limits import MOST_ADDRESSES, STRANGERS, Buckets, Entry, Slots

ADMITTED, REFUSED, SWAMPED = Entry.ADMITTED, Entry.REFUSED, Entry.SWAMPED


def taken(slots: Slots, caller: str, *, limit: int, servers: int) -> int:
    """How many places the caller is given before it is refused one."""
    return next(n for n in range(limit + 1) if slots.enter(caller, limit=limit, servers=servers) is not ADMITTED)


def test_places_are_given_until_none_is_left_and_again_when_one_is_given_back() -> None:
    slots = Slots()
    assert [slots.enter("a", limit=2, servers=1) for _ in range(3)] == [ADMITTED, ADMITTED, REFUSED]
    slots.leave("a", REFUSED)
    assert slots.enter("a", limit=2, servers=1) is REFUSED
    slots.leave("a", ADMITTED)
    assert slots.enter("a", limit=2, servers=1) is ADMITTED
    assert slots.known == 2


@pytest.mark.parametrize(
    ("limit", "servers", "most"), [(1024, 1, 1024), (1024, 2, 768), (1024, 100, 529), (3, 2, 2), (2, 3, 2), (1, 1, 1)]
)
def test_one_caller_has_what_is_not_the_others_own(limit: int, servers: int, most: int) -> None:
    assert taken(Slots(), "greedy", limit=limit, servers=servers) == most


@pytest.mark.parametrize(("limit", "servers", "own"), [(1024, 100, 5), (1024, 3, 170), (100, 100, 1), (150, 100, 1)])
def test_however_many_take_all_they_can_each_other_has_its_own(limit: int, servers: int, own: int) -> None:
    slots = Slots()
    for number in range(servers - 1):
        taken(slots, f"greedy{number}", limit=limit, servers=servers)
    assert taken(slots, "late", limit=limit, servers=servers) >= own
    assert slots.known <= limit


def test_refusals_of_one_caller_take_nothing_from_another() -> None:
    slots = Slots()
    said = [slots.enter("greedy", limit=16, servers=2) for _ in range(1000)]
    assert [said.count(each) for each in (ADMITTED, REFUSED, SWAMPED)] == [12, 12, 976]
    assert slots.enter("a", limit=16, servers=2) is ADMITTED
    for entry in said:
        slots.leave("greedy", entry)
    assert slots.known == 1
    assert taken(slots, "greedy", limit=16, servers=2) == 12


@pytest.mark.parametrize(
    ("limit", "servers", "most"), [(1024, 1, 512), (1024, 4, 512), (16, 3, 10), (2, 3, 2), (1, 1, 1)]
)
def test_one_address_leaves_a_servers_own_places_to_its_other_instances(limit: int, servers: int, most: int) -> None:
    slots = Slots()
    share = {"limit": limit, "servers": servers}
    said = [slots.enter("a", whence="192.0.2.1", **share) for _ in range(2 * limit)]
    assert said.count(ADMITTED) == most
    if most < limit:
        assert slots.enter("a", whence="192.0.2.2", **share) is ADMITTED
        slots.leave("a", ADMITTED, "192.0.2.2")
    for entry in said:
        slots.leave("a", entry, "192.0.2.1")
    assert slots.known == 0
    assert [slots.enter("a", whence="192.0.2.1", **share) for _ in range(most)] == [ADMITTED] * most


def test_strangers_have_few_places_and_none_of_the_others() -> None:
    slots = Slots()
    said = [slots.enter(None, limit=1000, servers=1) for _ in range(2 * STRANGERS + 1)]
    assert said == [ADMITTED] * STRANGERS + [REFUSED] * STRANGERS + [SWAMPED]
    assert slots.enter("a", limit=1, servers=1) is ADMITTED
    for entry in said:
        slots.leave(None, entry)
    assert slots.enter(None, limit=1000, servers=1) is ADMITTED


def test_a_lowered_limit_holds_at_once() -> None:
    slots = Slots()
    assert [slots.enter("a", limit=8, servers=2) for _ in range(4)] == [ADMITTED] * 4
    assert slots.enter("b", limit=4, servers=2) is REFUSED


def test_a_bucket_holds_a_second_and_fills_with_time() -> None:
    buckets = Buckets()
    assert [buckets.take("a", rate=3, now=0.0) for _ in range(4)] == [True, True, True, False]
    assert not buckets.take("a", rate=3, now=0.2)
    assert buckets.take("a", rate=3, now=0.4)
    assert not buckets.take("a", rate=3, now=0.4)
    assert [buckets.take("a", rate=3, now=100.0) for _ in range(4)] == [True, True, True, False]


def test_one_caller_does_not_use_up_anothers() -> None:
    buckets = Buckets()
    assert buckets.take("a", rate=1, now=0.0)
    assert not buckets.take("a", rate=1, now=0.0)
    assert buckets.take("b", rate=1, now=0.0)


def test_a_lowered_rate_holds_at_once() -> None:
    buckets = Buckets()
    buckets.take("a", rate=1000, now=0.0)
    assert [buckets.take("a", rate=1, now=0.0) for _ in range(2)] == [True, False]


def flood(buckets: Buckets, *whence: str, begin: int, seconds: int) -> list[int]:
    """How many logins each address is given in that time, of 4 a second, if all ask a hundred times a second."""
    given = Counter[str]()
    for tick in range(begin * 100, (begin + seconds) * 100):
        for one in whence:
            given[one] += buckets.take("a", rate=4, now=tick / 100, whence=one)
    return [given[one] for one in whence]


def test_an_instance_that_floods_has_all_while_the_others_are_silent_and_no_more_than_they_after_that() -> None:
    buckets = Buckets()
    assert flood(buckets, "192.0.2.1", begin=0, seconds=100) == [4 * 100 + 2], "what half a bucket held, besides"
    assert flood(buckets, "192.0.2.1", "192.0.2.2", begin=100, seconds=100) == [200, 201]


def test_an_instance_that_asks_now_and_then_is_not_kept_out_by_one_that_floods() -> None:
    buckets = Buckets()
    for second in range(10):
        flood(buckets, "192.0.2.1", begin=second, seconds=1)
        assert buckets.take("a", rate=4, now=second + 0.995, whence="192.0.2.2")


def test_no_more_addresses_are_remembered_than_a_few_thousand() -> None:
    buckets = Buckets()
    for number in range(MOST_ADDRESSES + 10):
        buckets.take("a", rate=1, now=0.0, whence=f"192.0.2.{number}")
    assert len(buckets._addresses._levels) == MOST_ADDRESSES
