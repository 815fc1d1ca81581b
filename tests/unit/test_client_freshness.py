"""When a token is renewed: ahead of its end, at another point in each process, and never by a clock that jumped."""

from typing import Any

import pytest

from pgbearer.client import AccessToken
from pgbearer.client.sources.freshness import Freshness, freshness
from tests.issuer import Mint

FRESH, DUE, NEEDED = Freshness.FRESH, Freshness.DUE, Freshness.NEEDED
NOW = 1_800_000_000.0
MINT = Mint()


def living(seconds: float) -> str:
    return MINT.token(iat=NOW, exp=NOW + seconds)


FIVE_MINUTES, MINUTE = living(300), living(60)


@pytest.mark.parametrize(
    ("token", "left", "state"),
    [
        (FIVE_MINUTES, 300, FRESH),
        (FIVE_MINUTES, 76, FRESH),
        (FIVE_MINUTES, 74, DUE),
        (FIVE_MINUTES, 31, DUE),
        (FIVE_MINUTES, 29, NEEDED),
        (FIVE_MINUTES, 0, NEEDED),
        (FIVE_MINUTES, -3600, NEEDED),  # after a suspend
        (FIVE_MINUTES, 359, FRESH),  # clocks differ
        (FIVE_MINUTES, 361, DUE),  # the clock was set back
        (FIVE_MINUTES, 1e6, DUE),
        (MINUTE, 16, FRESH),  # 30 s would be half of its life
        (MINUTE, 14, DUE),
        (MINUTE, 11, NEEDED),
        ("opaque", 300, FRESH),
        ("opaque", 74, DUE),
        ("opaque", 29, NEEDED),
    ],
)
def test_what_to_do_about_a_token(token: str, left: float, state: Freshness) -> None:
    assert freshness(AccessToken(token, expires_at=NOW + left), NOW, early=0.25) is state


def test_each_process_has_its_own_moment() -> None:
    token = AccessToken(FIVE_MINUTES, expires_at=NOW + 70)
    assert freshness(token, NOW, early=0.2) is FRESH
    assert freshness(token, NOW, early=0.3) is DUE


def test_a_token_without_a_known_end_is_the_servers_to_judge() -> None:
    assert freshness(AccessToken("opaque"), NOW, early=0.25) is FRESH


@pytest.mark.parametrize(
    "claims", [{"iat": "soon"}, {"exp": NOW - 1}, {"iat": NOW + 400}, {"iat": -(10**400)}, {"exp": 10**400, "iat": 1.5}]
)
def test_a_life_that_makes_no_sense_is_a_usual_one(claims: dict[str, Any]) -> None:
    text = MINT.token(**dict[str, Any]({"iat": NOW, "exp": NOW + 300} | claims))
    token = AccessToken(text, expires_at=NOW + 74)
    assert freshness(token, NOW, early=0.25) is DUE
