"""Who is there: clients that have not yet said what they want, and all the others, across a whole proxy."""

import asyncio
from typing import Protocol

__all__ = ["Guest", "Guests"]


class Guest(Protocol):
    """A client, as those see it that count and end clients."""

    uid: int | None
    began: float

    @property
    def is_idle(self) -> bool:
        """Whether it is logged in, and its server waits for its next query."""

    @property
    def last_byte(self) -> float:
        """When a byte passed last, on the proxy's clock."""

    def drop(self) -> None:
        """End it without a word."""

    def end(self, sqlstate: str, text: str) -> None:
        """End it, with an ErrorResponse where one can stand."""

    def retire(self, sqlstate: str, text: str) -> None:
        """Have its server end it once all is answered, and say this then; it is idle as far as can be seen."""


class Guests:
    """All clients of a proxy. Of one event loop.

    Args:
        most_unfinished: of those who have not said what they want; one more, and the oldest of them is dropped.
    """

    def __init__(self, most_unfinished: int) -> None:
        self._most_unfinished = most_unfinished
        self._unfinished: dict[Guest, None] = {}  # in the order of their coming
        self._there: set[Guest] = set()
        self._none_left = asyncio.Event()
        self._none_left.set()
        self.dropped = 0
        """Unfinished ones that were dropped, since the start."""

    @property
    def unfinished(self) -> int:
        """How many have not said what they want."""
        return len(self._unfinished)

    @property
    def there(self) -> tuple[Guest, ...]:
        """Everybody."""
        return tuple(self._there)

    @property
    def finished(self) -> int:
        """How many have said what they want."""
        return len(self._there) - len(self._unfinished)

    def of(self, uid: int | None) -> int:
        """How many are of one local user, whatever they have said."""
        return sum(guest.uid == uid for guest in self._there)

    def came(self, guest: Guest) -> None:
        """A client has connected. Too many that say nothing drive out the oldest of them, not those who work."""
        self._there.add(guest)
        self._unfinished[guest] = None
        self._none_left.clear()
        if len(self._unfinished) > self._most_unfinished:
            self.drop_oldest()

    def drop_oldest(self) -> bool:
        """Drop the client that has said nothing for longest; False if there is none."""
        oldest = next(iter(self._unfinished), None)
        if oldest is None:
            return False
        del self._unfinished[oldest]
        self.dropped += 1
        oldest.drop()
        return True

    def has_said(self, guest: Guest) -> None:
        """It has said what it wants, or will never."""
        self._unfinished.pop(guest, None)

    def left(self, guest: Guest) -> None:
        """It is gone."""
        self._unfinished.pop(guest, None)
        self._there.discard(guest)
        if not self._there:
            self._none_left.set()

    async def none_left(self) -> None:
        """Return once everybody is gone."""
        await self._none_left.wait()
