"""Floods of denials, counted instead of recorded one by one: neither junk nor one person may fill the audit."""

from dataclasses import dataclass, field
from typing import Any, Final

from pgbearer.audit.record import DecisionRecord, timestamp

__all__ = ["Aggregator", "Tally"]

FIRST_IN_FULL: Final = 5
"""So many of a kind are recorded one by one in each window."""

WINDOW_MS: Final = 10_000

MOST_IDENTITIES: Final = 10_000
"""So many are kept account of; who was denied least recently gives way, and begins with a full budget again."""

MOST_ROLES: Final = 16
"""So many of the roles that one identity tried are named in its line."""

_Key = tuple[str | None, str, str | None, str | None]


@dataclass(slots=True)
class Tally:
    """Denials of one kind in one window; only those without a line of their own are counted in `count`."""

    server: str | None
    reason: str
    token_ref: str | None
    """The one token that all of them brought, if its signature verified but a check refused it."""
    identity: str | None
    """Who brought all of them, if their tokens were verified; with neither, nobody vouches for any of them."""
    since: int
    """Epoch milliseconds."""
    seen: int = 0
    count: int = 0
    last_decision_id: str = ""
    roles: set[str] = field(default_factory=set)
    """Database roles that the identity tried, as far as there is room."""

    def saw(self, record: DecisionRecord) -> None:
        """Count one that has no line of its own."""
        self.count += 1
        self.last_decision_id = record.decision_id
        if self.identity is not None and record.role is not None and len(self.roles) < MOST_ROLES:
            self.roles.add(record.role)

    def entry(self) -> dict[str, Any]:
        """The members of the line that stands for `count` decisions."""
        who = {} if self.identity is None else {"identity": self.identity, "roles": sorted(self.roles)}
        return {
            "authentic": self.token_ref is not None or self.identity is not None,
            "verified": self.identity is not None,
            "token_ref": self.token_ref,
            **who,
            "count": self.count,
            "since": timestamp(self.since),
            "server": self.server,
            "decision": "deny",
            "reason": self.reason,
            "last_decision_id": self.last_decision_id,
        }


class Aggregator:
    """Tells which denials are counted instead of recorded one by one. No I/O, no clock. What is allowed never is.

    Unverified failures are counted by (server, reason) in windows of ten seconds, from the sixth on. A token whose
    signature verified is counted by itself, so that no flood hides a person's own failure. Junk makes as many tallies
    as there are servers times reasons, whatever the flood; nobody but an issuer can make more.

    Denials of a verified identity are counted by (server, reason, identity) once its budget is used up.
    """

    def __init__(self) -> None:
        self.denials_per_minute = 60
        """What one identity's budget of lines for denials is, and what it is refilled with."""
        self._tallies: dict[_Key, Tally] = {}
        self._budgets: dict[str, tuple[float, int]] = {}

    def absorb(self, record: DecisionRecord) -> bool:
        """Count `record` if it is one of a flood; False if it deserves a line of its own."""
        if record.allowed:
            return False
        if record.verified:
            return self._absorb_denial(record)
        tally = self._tally(record, record.token_ref if record.authentic else None, None)
        tally.seen += 1
        if tally.seen <= FIRST_IN_FULL:
            return False
        tally.saw(record)
        return True

    def _absorb_denial(self, record: DecisionRecord) -> bool:
        if record.identity is None or self._spend(record.identity, record.at):
            return False
        self._tally(record, None, record.identity).saw(record)
        return True

    def _spend(self, identity: str, now: int) -> bool:
        """Take a line from the budget of `identity`; False if there is none left."""
        most = float(self.denials_per_minute)
        left, since = self._budgets.pop(identity, (most, now))
        left = min(most, left + max(0, now - since) * most / 60_000)
        paid = left >= 1
        if len(self._budgets) >= MOST_IDENTITIES:
            del self._budgets[next(iter(self._budgets))]
        self._budgets[identity] = (left - 1 if paid else left, now)
        return paid

    def _tally(self, record: DecisionRecord, token_ref: str | None, identity: str | None) -> Tally:
        key = (record.server, record.reason.value, token_ref, identity)
        if (tally := self._tallies.get(key)) is None:
            tally = self._tallies[key] = Tally(*key, record.at)
        return tally

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
        del self._tallies[(tally.server, tally.reason, tally.token_ref, tally.identity)]
