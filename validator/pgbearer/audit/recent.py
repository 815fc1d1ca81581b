"""The last decisions, kept in memory for whoever asks why."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Any, Final

from pgbearer.audit.record import DecisionRecord, timestamp

__all__ = ["Recent", "Remembered", "Search"]

CAPACITY: Final = 10_000
UNVOUCHED_CAPACITY: Final = 2_000
JUNK_CAPACITY: Final = 1_000
TRACES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Remembered:
    """A record and how the policy came to it; `trace` is what `pgbearer.policy` considered."""

    record: DecisionRecord
    trace: tuple[Any, ...] = ()

    def entry(self) -> dict[str, Any]:
        """The record as its audit line has it."""
        return {"time": timestamp(self.record.at), **self.record.entry()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which decisions are wanted; what is None does not matter."""

    identity: str | None = None
    role: str | None = None
    reason: str | None = None
    since: int | None = None
    """Epoch milliseconds."""
    limit: int = 100

    def fits(self, record: DecisionRecord) -> bool:
        """True if `record` is wanted."""
        return (
            (self.identity is None or record.identity == self.identity)
            and (self.role is None or record.role == self.role)
            and (self.reason is None or record.reason.value == self.reason)
            and (self.since is None or record.at >= self.since)
        )


class Recent:
    """A ring of the last 10,000 decisions about tokens of our issuers, and two smaller ones of what anybody can cause.

    Strangers push out each other's: those with an audit line of their own the oldest of 2,000, those that were only
    counted the oldest of 1,000. Nobody without a token of our issuers makes a decision about a person be forgotten.
    """

    def __init__(self) -> None:
        self._traces: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._recorded: deque[Remembered] = deque(maxlen=CAPACITY)
        self._unvouched: deque[Remembered] = deque(maxlen=UNVOUCHED_CAPACITY)
        self._junk: deque[Remembered] = deque(maxlen=JUNK_CAPACITY)

    def add(self, remembered: Remembered, *, junk: bool = False) -> None:
        """Remember a decision; `junk` if it has no audit line of its own."""
        record, trace = remembered.record, self._shared(remembered.trace)
        ring = (
            self._junk if junk else self._unvouched if record.may_be_junk and not record.authentic else self._recorded
        )
        ring.append(Remembered(record, trace))

    def search(self, search: Search) -> list[Remembered]:
        """What fits, newest first, at most `search.limit`."""
        return list(islice((known for known in self if search.fits(known.record)), search.limit))

    def find(self, name: str) -> Remembered | None:
        """The newest decision with this decision_id or token_ref."""
        return next((known for known in self if name in (known.record.decision_id, known.record.token_ref)), None)

    def _shared(self, trace: tuple[Any, ...]) -> tuple[Any, ...]:
        """One of equal traces; the same person's logins have the same one, and it can be as long as the policy."""
        if len(self._traces) >= TRACES:
            self._traces.clear()
        return self._traces.setdefault(trace, trace)

    def __iter__(self) -> Iterator[Remembered]:
        both = reversed(self._recorded), reversed(self._unvouched)
        yield from merge(*both, key=lambda known: known.record.at, reverse=True)
        yield from reversed(self._junk)

    def __len__(self) -> int:
        return len(self._recorded) + len(self._unvouched) + len(self._junk)
