"""Until when a token in memory is used, and from when on another is asked for: rules on values, no clock, no lock."""

from dataclasses import dataclass
from typing import Final

from pgbearer.client.token import AccessToken

__all__ = ["Kept"]

_RENEW_FROM: Final = 0.70
_RENEW_UNTIL: Final = 0.85
"""Parts of a token's life between which another is asked for: at a time of chance, so that not all ask at once."""
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 60.0
"""Seconds between attempts at an issuer that does not answer, while the old token is still good."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A token, and how its renewal stands. Times are seconds since the epoch: a machine that slept has aged with it."""

    token: AccessToken
    asked: float
    """When it was asked for."""
    due: float
    """From when on another is asked for."""
    failures: int = 0
    """Attempts since then that nobody answered."""

    @classmethod
    def of(cls, token: AccessToken, asked: float, chance: float) -> "Kept | None":
        """A token that was asked for at `asked`, `chance` from 0 to 1; None if nobody knows when it ends."""
        if token.expires_at is None:
            return None
        part = _RENEW_FROM + (_RENEW_UNTIL - _RENEW_FROM) * chance
        return cls(token, asked, asked + (token.expires_at - asked) * part)

    def young(self, now: float) -> bool:
        """Whether it is used without asking; not if the clock was set back, for then its age is unknown."""
        return self.asked <= now < self.due and not self.token.expired(now)

    def still_good(self, now: float) -> bool:
        """Whether it can be used if no other is to be had: until its very end."""
        return not self.token.expired(now)

    def after_failure(self, now: float) -> "Kept":
        """The same, after an attempt that nobody answered: asked again a little later."""
        pause = min(_FIRST_PAUSE * 2.0**self.failures, _LONGEST_PAUSE)
        return Kept(self.token, min(self.asked, now), now + pause, min(self.failures + 1, 8))
