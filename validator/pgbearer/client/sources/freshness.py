"""When a token is to be renewed: a rule on values, asked at each use, so that no sleep of the machine outwits it."""

from enum import Enum, auto
from typing import Final

from pgbearer.client.peek import claims_in, moment_in
from pgbearer.client.token import AccessToken

__all__ = ["Freshness", "freshness"]

_MARGIN: Final = 30.0  # seconds that a token must still have, so that it does not end on its way to the server
_SHORT: Final = 0.2  # of its life: what that margin is at most, for tokens that live less than two and a half minutes
_USUAL_LIFE: Final = 300.0  # seconds: for tokens that do not say how long they live
_CLOCK: Final = 60.0  # seconds by which clocks may differ


class Freshness(Enum):
    """What to do about a token."""

    FRESH = auto()
    """Use it."""
    DUE = auto()
    """Use it, and renew it if that is possible."""
    NEEDED = auto()
    """Renew it; what is left of it is for when that is not possible."""


def freshness(token: AccessToken, now: float, early: float) -> Freshness:
    """How fresh `token` is.

    Args:
        token: one without a known end is fresh: only the server can say.
        now: seconds since the epoch, by the wall clock. A clock that was set back shows as a token with more time
            left than it ever had, which is then due.
        early: the part of its life that is left when it becomes due, 0 to 1. Each process draws its own, so that not
            all renew at once.
    """
    if token.expires_at is None:
        return Freshness.FRESH
    left, life = token.expires_at - now, _life(token)
    if left < min(_MARGIN, life * _SHORT):
        return Freshness.NEEDED
    return Freshness.DUE if left < life * early or left > life + _CLOCK else Freshness.FRESH


def _life(token: AccessToken) -> float:
    """Seconds from its issue to its end, both by the issuer's clock."""
    claims = claims_in(token)
    issued, ends = moment_in(claims, "iat"), moment_in(claims, "exp")
    return ends - issued if issued is not None and ends is not None and ends > issued else _USUAL_LIFE
