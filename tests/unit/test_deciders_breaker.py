"""The breaker, by story: what opens it, what does not, and how it closes; on a clock of the test's own."""

import pytest

from pgbearer.deciders.breaker import Breaker, Pass


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(5, 10.0, clock)


def let_in(breaker: Breaker, identity: str = "alice") -> Pass:
    given = breaker.admit(identity)
    assert given is not None
    return given


def fail(breaker: Breaker, *identities: str, connecting: bool = False) -> None:
    for identity in identities:
        breaker.failed(let_in(breaker, identity), connecting=connecting)


def state(breaker: Breaker) -> str:
    """It changes behind mypy's back."""
    return breaker.state


def opened(breaker: Breaker) -> None:
    fail(breaker, *["alice"] * 5, connecting=True)
    assert state(breaker) == "open"


def test_it_opens_when_connecting_fails_so_often(breaker: Breaker) -> None:
    fail(breaker, *["alice"] * 4, connecting=True)
    assert state(breaker) == "closed"
    fail(breaker, "alice", connecting=True)
    assert (state(breaker), breaker.admit("alice"), breaker.admit("bob")) == ("open", None, None)


@pytest.mark.parametrize("failures", [2, 3, 4, 5, 8, 100])
def test_no_one_identity_opens_it(failures: int, clock: Clock) -> None:
    breaker = Breaker(failures, 10.0, clock)
    fail(breaker, *["mallory"] * 1000)
    assert state(breaker) == "closed"


@pytest.mark.parametrize(
    ("identities", "expected"),
    [
        (["a", "a", "a", "b", "b"], "closed"),
        (["a", "b", "c", "d"], "closed"),
        (["a", "b", "c", "d", "e"], "open"),
        (["a", "a", "b", "b", "c"], "open"),
    ],
)
def test_several_identities_do(breaker: Breaker, identities: list[str], expected: str) -> None:
    fail(breaker, *identities)
    assert state(breaker) == expected


def test_an_opinion_has_all_faults_forgotten(breaker: Breaker) -> None:
    fail(breaker, "a", "b", "c", "d")
    breaker.succeeded(let_in(breaker, "e"))
    fail(breaker, "a", "b", "c", "d")
    assert state(breaker) == "closed"


def test_what_was_not_asked_to_its_end_says_nothing(breaker: Breaker) -> None:
    fail(breaker, "a", "b", "c", "d")
    breaker.released(let_in(breaker, "e"))
    assert state(breaker) == "closed"
    fail(breaker, "f")
    assert state(breaker) == "open"


def test_one_probe_at_a_time_and_it_decides(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.seconds = 9.9
    assert breaker.admit("alice") is None
    clock.seconds = 10.0
    assert state(breaker) == "half-open"
    probe = let_in(breaker)
    assert (probe.probe, breaker.admit("bob")) == (True, None)
    breaker.succeeded(probe)
    assert state(breaker) == "closed"
    assert not let_in(breaker, "bob").probe


def test_a_probe_that_fails_opens_it_again(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.seconds = 10.0
    breaker.failed(let_in(breaker), connecting=True)
    assert state(breaker) == "open"
    clock.seconds = 20.0
    assert let_in(breaker).probe


def test_a_probe_that_nobody_waited_for_makes_room_for_another(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.seconds = 10.0
    breaker.released(let_in(breaker))
    assert let_in(breaker, "bob").probe


def test_poisoned_probes_do_not_keep_it_open_for_others(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.seconds = 10.0
    fail(breaker, "mallory")
    clock.seconds = 20.0
    assert breaker.admit("mallory") is None, "she had her turn, and may have been the fault"
    breaker.succeeded(let_in(breaker, "bob"))
    assert state(breaker) == "closed"


def test_who_is_alone_may_probe_again_in_the_end(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.seconds = 10.0
    fail(breaker, "alice")
    clock.seconds = 30.0
    assert let_in(breaker, "alice").probe


def test_an_answer_from_before_it_opened_does_not_close_it(breaker: Breaker) -> None:
    early = let_in(breaker, "zoe")
    opened(breaker)
    breaker.succeeded(early)
    assert state(breaker) == "open"
    breaker.failed(Pass("zoe", probe=False), connecting=True)
    assert state(breaker) == "open"
