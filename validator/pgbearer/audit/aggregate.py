"""Floods of unverified failures, counted instead of recorded one by one: junk must not fill the audit."""

from dataclasses import dataclass
from typing import Any, Final

from pgbearer.audit.record import DecisionRecord, timestamp

__all__ = ["Aggregator", "Tally"]

FIRST_IN_FULL: Final = 5
"""So many of a kind are recorded one by one in each window."""

WINDOW_MS: Final = 10_000

_Key = tuple[str | None, str, str | None]


@dataclass(slots=True)
class Tally:
    """Failures of one kind in one window; only those past the first few are counted in `count`."""

    server: str | None
    reason: str
    token_ref: str | None
    """The one token that all of them brought, if its signature verified; None if nobody vouches for any of them."""
    since: int
    """Epoch milliseconds."""
    seen: int = 0
    count: int = 0
    last_decision_id: str = ""

    def entry(self) -> dict[str, Any]:
        """The members of the line that stands for `count` decisions."""
        return {
            "authentic": self.token_ref is not None,
            "verified": False,
            "token_ref": self.token_ref,
            "count": self.count,
            "since": timestamp(self.since),
            "server": self.server,
            "decision": "deny",
            "reason": self.reason,
            "last_decision_id": self.last_decision_id,
        }


class Aggregator:
    """Counts unverified failures by (server, reason) in windows of ten seconds, from the sixth on. No I/O, no clock.

    A token whose signature verified is counted by itself, so that no flood hides a person's own failure. Junk makes as
    many tallies as there are servers times reasons, whatever the flood; nobody but an issuer can make more.
    """

    def __init__(self) -> None:
        self._tallies: dict[_Key, Tally] = {}

    def absorb(self, record: DecisionRecord) -> bool:
        """Count `record` if it is one of a flood; False if it deserves a line of its own."""
        if not record.may_be_junk:
            return False
        key = (record.server, record.reason.value, record.token_ref if record.authentic else None)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally(*key, record.at)
        tally.seen += 1
        if tally.seen <= FIRST_IN_FULL:
            return False
        tally.count += 1
        tally.last_decision_id = record.decision_id
        return True

    def due(self, now_ms: int) -> list[Tally]:
        """The tallies whose window is over and that counted something; those that did not are forgotten."""
        over = [key for key, tally in self._tallies.items() if not 0 <= now_ms - tally.since < WINDOW_MS]
        for key in over:
            if not self._tallies[key].count:
                del self._tallies[key]
        return [self._tallies[key] for key in over if key in self._tallies]

    def pending(self) -> list[Tally]:
        """Every tally that counted something, whether its window is over or not."""
        return [tally for tally in self._tallies.values() if tally.count]

    def forget(self, tally: Tally) -> None:
        """`tally` has its line."""
        del self._tallies[(tally.server, tally.reason, tally.token_ref)]
