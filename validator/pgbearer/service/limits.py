"""How much one service takes on at a time, and how much from one caller. No I/O; time is given."""

from collections import Counter
from enum import Enum, auto
from typing import Final

__all__ = ["STRANGERS", "Buckets", "Entry", "Slots"]

STRANGERS: Final = 16
"""Connections of unknown callers at a time: enough to tell an administrator why, too few to crowd anybody out."""

MOST_ADDRESSES: Final = 4096
"""Whose use of a caller's rate is remembered: far more than one has instances."""


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

    The instances of a server over the network share its certificate and so its places, of which one address has no more
    than that other half: the server's own are left to its other instances.
    """

    def __init__(self) -> None:
        self._admitted, self._refused = _Places(), _Places()
        self._strangers = 0

    @property
    def known(self) -> int:
        """Connections of callers that have a place."""
        return self._admitted.taken

    def enter(self, caller: str | None, *, limit: int, servers: int, whence: str | None = None) -> Entry:
        """Take a place. However it ends, `leave` follows.

        Args:
            caller: a name under ``servers:``; None for a stranger.
            limit: places for all callers, ``limits.in_flight``.
            servers: how many names there are under ``servers:``.
            whence: the address over the network (`Peer.whence`); None at a Unix socket.
        """
        if caller is None:
            self._strangers += 1
            if self._strangers <= STRANGERS:
                return Entry.ADMITTED
            return Entry.REFUSED if self._strangers <= 2 * STRANGERS else Entry.SWAMPED
        if self._admitted.take(caller, whence, limit, servers):
            return Entry.ADMITTED
        return Entry.REFUSED if self._refused.take(caller, whence, limit, servers) else Entry.SWAMPED

    def leave(self, caller: str | None, entry: Entry, whence: str | None = None) -> None:
        """Give back what `enter` gave."""
        if caller is None:
            self._strangers -= 1
        elif entry is Entry.ADMITTED:
            self._admitted.give_back(caller, whence)
        elif entry is Entry.REFUSED:
            self._refused.give_back(caller, whence)


class _Places:
    """Places that callers share, and how many each holds, and each address of it."""

    def __init__(self) -> None:
        self.taken = 0
        self._held: Counter[str] = Counter()
        self._held_from: Counter[tuple[str, str]] = Counter()

    def take(self, caller: str, whence: str | None, limit: int, servers: int) -> bool:
        own = max(limit // (2 * servers), 1) if limit >= servers else 0
        common = limit - own * servers
        if self.taken >= limit or (self._held[caller] >= own and self._in_common(own) >= common):
            return False
        if whence is not None:
            if self._held_from[caller, whence] >= max(common, 1):
                return False
            self._held_from[caller, whence] += 1
        self._held[caller] += 1
        self.taken += 1
        return True

    def _in_common(self, own: int) -> int:
        """How many are held beyond each caller's own."""
        return sum(held - own for held in self._held.values() if held > own)

    def give_back(self, caller: str, whence: str | None) -> None:
        self.taken -= 1
        self._held[caller] -= 1
        if whence is not None:
            self._held_from[caller, whence] -= 1
            if not self._held_from[caller, whence]:
                del self._held_from[caller, whence]


class Buckets:
    """A token bucket for each caller: so many logins a second, and one second's worth at once.

    Of the second half of what is there, each address of a caller over the network has only half a second's worth: an
    instance that floods leaves it to the others, and has everything while they are silent.
    """

    def __init__(self) -> None:
        self._callers = _Levels()
        self._addresses = _Levels(most=MOST_ADDRESSES)

    def take(self, caller: str, *, rate: int, now: float, whence: str | None = None) -> bool:
        """Take one; False if the caller has used up what it has.

        Args:
            caller: a name under ``servers:``, so there are few.
            rate: tokens a second, ``limits.per_caller_per_second``.
            now: seconds on a monotonic clock.
            whence: the address over the network (`Peer.whence`).
        """
        level = self._callers.at(caller, rate, now)
        allowed = level >= 1
        if whence is not None:
            share = self._addresses.at(f"{caller} {whence}", rate / 2, now)
            allowed = allowed and (share >= 1 or level > rate / 2)
            self._addresses.set(f"{caller} {whence}", max(share - allowed, 0), now)
        self._callers.set(caller, level - allowed, now)
        return allowed


class _Levels:
    """What is in buckets now. Of more than `most` those are forgotten, as if full, that were asked for longest ago."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._levels: dict[str, tuple[float, float]] = {}

    def at(self, name: str, rate: float, now: float) -> float:
        level, since = self._levels.pop(name, (rate, now))
        return min(rate, level + (now - since) * rate)

    def set(self, name: str, level: float, now: float) -> None:
        self._levels[name] = level, now
        if self._most is not None and len(self._levels) > self._most:
            del self._levels[next(iter(self._levels))]
