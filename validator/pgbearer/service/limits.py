"""How much one service takes on at a time, and how much from one caller. No I/O; time is given."""

from enum import Enum, auto
from typing import Final

__all__ = ["STRANGERS", "Buckets", "Entry", "Slots"]

STRANGERS: Final = 16
"""Connections of unknown callers at a time: enough to tell an administrator why, too few to crowd anybody out."""


class Entry(Enum):
    """What became of a connection that asked for a place."""

    ADMITTED = auto()
    REFUSED = auto()
    """To be told so, which takes a moment and is counted apart."""
    SWAMPED = auto()
    """Even refusals have become too many to be polite about: to be cut."""


class Slots:
    """Places for connections under way: some for each caller alone, few for strangers, who take none of the others'.

    Half of the places are dealt out to the servers evenly, and nobody takes another's; the other half is for whoever
    comes. A fixed share alone would leave places empty while somebody waits; one that only shrinks as places become
    few would be taken by several callers together, one after the other.
    """

    def __init__(self) -> None:
        self._admitted, self._refused = _Places(), _Places()
        self._strangers = 0

    @property
    def known(self) -> int:
        """Connections of callers that have a place."""
        return self._admitted.taken

    def enter(self, caller: str | None, *, limit: int, servers: int) -> Entry:
        """Take a place. However it ends, `leave` follows.

        Args:
            caller: a name under ``servers:``; None for a stranger.
            limit: places for all callers, ``limits.in_flight``.
            servers: how many names there are under ``servers:``.
        """
        if caller is None:
            self._strangers += 1
            if self._strangers <= STRANGERS:
                return Entry.ADMITTED
            return Entry.REFUSED if self._strangers <= 2 * STRANGERS else Entry.SWAMPED
        if self._admitted.take(caller, limit, servers):
            return Entry.ADMITTED
        return Entry.REFUSED if self._refused.take(caller, limit, servers) else Entry.SWAMPED

    def leave(self, caller: str | None, entry: Entry) -> None:
        """Give back what `enter` gave."""
        if caller is None:
            self._strangers -= 1
        elif entry is Entry.ADMITTED:
            self._admitted.give_back(caller)
        elif entry is Entry.REFUSED:
            self._refused.give_back(caller)


class _Places:
    """Places that callers share, and how many each holds."""

    def __init__(self) -> None:
        self.taken = 0
        self._held: dict[str, int] = {}

    def take(self, caller: str, limit: int, servers: int) -> bool:
        held = self._held.get(caller, 0)
        own = max(limit // (2 * servers), 1) if limit >= servers else 0
        if self.taken >= limit or (held >= own and self._in_common(own) >= limit - own * servers):
            return False
        self._held[caller] = held + 1
        self.taken += 1
        return True

    def _in_common(self, own: int) -> int:
        """How many are held beyond each caller's own."""
        return sum(held - own for held in self._held.values() if held > own)

    def give_back(self, caller: str) -> None:
        self.taken -= 1
        self._held[caller] -= 1
        if not self._held[caller]:
            del self._held[caller]


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
