"""How much one service takes on at a time, and how much from one caller. No I/O; time is given."""

from typing import Final

__all__ = ["STRANGERS", "Buckets", "Slots"]

STRANGERS: Final = 16
"""Connections of unknown callers at a time: enough to tell an administrator why, too few to crowd anybody out."""


class Slots:
    """Places for connections under way. Strangers have few of their own and take none of the others'."""

    def __init__(self) -> None:
        self.known = 0
        self.strangers = 0

    def enter(self, *, known: bool, limit: int) -> bool:
        """Take a place; False if all are taken. Either way `leave` follows, because even a refusal takes a moment.

        Args:
            known: whether the caller is a server under ``servers:``.
            limit: places for known callers, ``limits.in_flight``.
        """
        if known:
            self.known += 1
            return self.known <= limit
        self.strangers += 1
        return self.strangers <= STRANGERS

    def leave(self, *, known: bool) -> None:
        """Give the place back."""
        if known:
            self.known -= 1
        else:
            self.strangers -= 1

    def swamped(self, *, known: bool, limit: int) -> bool:
        """True if even refusals have become too many to be polite about."""
        return self.known > 2 * limit if known else self.strangers > 2 * STRANGERS


class Buckets:
    """A token bucket for each caller: so many logins a second, and one second's worth at once."""

    def __init__(self) -> None:
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, caller: str, *, rate: int, now: float) -> bool:
        """Take one; False if the caller has used up what it has.

        Args:
            caller: a name under ``servers:``, so there are few.
            rate: tokens a second, ``limits.per_caller_per_second``.
            now: seconds on a monotonic clock.
        """
        level, since = self._levels.get(caller, (float(rate), now))
        level = min(float(rate), level + (now - since) * rate)
        allowed = level >= 1
        self._levels[caller] = (level - 1 if allowed else level, now)
        return allowed
