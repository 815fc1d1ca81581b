"""Places and buckets, with a clock of the test's own."""

from pgbearer.service.limits import STRANGERS, Buckets, Slots


def test_places_are_given_until_none_is_left_and_again_when_one_is_given_back() -> None:
    slots = Slots()
    assert [slots.enter(known=True, limit=2) for _ in range(3)] == [True, True, False]
    slots.leave(known=True)
    slots.leave(known=True)
    assert slots.enter(known=True, limit=2)


def test_strangers_have_few_places_and_none_of_the_others() -> None:
    slots = Slots()
    assert [slots.enter(known=False, limit=1000) for _ in range(STRANGERS + 1)] == [True] * STRANGERS + [False]
    assert slots.enter(known=True, limit=1)


def test_too_many_to_be_polite_about() -> None:
    slots = Slots()
    for _ in range(4):
        slots.enter(known=True, limit=2)
    assert not slots.swamped(known=True, limit=2)
    slots.enter(known=True, limit=2)
    assert slots.swamped(known=True, limit=2)
    assert not slots.swamped(known=False, limit=2)


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
