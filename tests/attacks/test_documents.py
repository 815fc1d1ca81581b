"""Metadata and keys that are not what they must be: nobody gets in by them, whatever the token.

What the service says of each fault, and that one which comes later stops no login at once: test_key_sets.py.
"""

from collections.abc import Iterator

import pytest

from pgbearer.wire import Reason
from tests.attacks.cases import claims
from tests.attacks.fix_door import Door
from tests.documents import FAULTS

GOOD = claims("good", Reason.ALLOWED)


@pytest.fixture
def mended(door: Door) -> Iterator[Door]:
    """The door, whose issuer is good again afterwards, and known to be."""
    yield door
    door.issuer.mend()
    door.forget_keys()


@pytest.mark.parametrize("fault", FAULTS)
def test_refused_at_login(mended: Door, fault: str) -> None:
    break_it, _ = FAULTS[fault]
    break_it(mended.issuer)
    mended.forget_keys()
    assert mended.refusal(GOOD) == Reason.KEYS_UNAVAILABLE


def test_a_mended_issuer_lets_in_again(mended: Door) -> None:
    mended.issuer.down()
    mended.forget_keys()
    assert mended.refusal(GOOD) == Reason.KEYS_UNAVAILABLE
    mended.issuer.mend()
    mended.forget_keys()
    mended.admit(GOOD)


def test_a_fault_that_comes_later_stops_nobody_and_lets_in_no_stranger(mended: Door) -> None:
    mended.admit(GOOD)
    mended.issuer.wrong_issuer()
    mended.admit(GOOD)
    assert mended.refusal(claims("other", Reason.ISSUER_UNKNOWN, iss="https://evil.example/realms/demo")) == (
        Reason.ISSUER_UNKNOWN
    )
