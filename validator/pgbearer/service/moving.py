"""Who still comes by which issuer: counted at each login, so that a move from one to another can be seen to end."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import Metric

from pgbearer.audit import timestamp
from pgbearer.service.metrics import ISSUER_LAST, ISSUER_LOGINS, MOVE_ENDS, family
from pgbearer.tokens import Move

__all__ = ["Logins", "MovesCollector", "moves_report"]


@dataclass(slots=True)
class _Seen:
    count: int = 0
    last: float = 0.0


class Logins:
    """How many logins brought a token that passed every check, by issuer, since the service started.

    For one event loop; a reload leaves it alone. Whether the policy then let them in does not matter: they came by it.
    """

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def saw(self, issuer: str, now: float) -> None:
        """A login by the issuer of this name, at `now` (epoch seconds)."""
        seen = self._seen.get(issuer)
        if seen is None:
            seen = self._seen[issuer] = _Seen()
        seen.count += 1
        seen.last = now

    def count(self, issuer: str) -> int:
        """How many there were."""
        return self._seen[issuer].count if issuer in self._seen else 0

    def last(self, issuer: str) -> float | None:
        """When the last one was, epoch seconds; None if there was none."""
        return self._seen[issuer].last if issuer in self._seen else None

    def issuers(self) -> tuple[str, ...]:
        """Names of those that somebody came by."""
        return tuple(self._seen)


def moves_report(moves: Iterable[Move], logins: Logins, now: float) -> list[dict[str, Any]]:
    """How each move stands, for /readyz: names no person."""
    return [
        {
            "from": move.old,
            "to": move.new,
            "until": move.until.isoformat(),
            "over": now >= move.ends,
            "logins_from": logins.count(move.old),
            "logins_to": logins.count(move.new),
            "last_from": None if (last := logins.last(move.old)) is None else timestamp(int(last * 1000)),
        }
        for move in moves
    ]


class MovesCollector:
    """Reads the tally whenever metrics are read; a login only adds one to a number.

    Args:
        logins: the tally.
        moves: says which moves the configuration in force has.
    """

    def __init__(self, logins: Logins, moves: Callable[[], Sequence[Move]]) -> None:
        self._logins = logins
        self._moves = moves

    def collect(self) -> Iterable[Metric]:
        """The families, as prometheus_client asks for them."""
        count, last, ends = family(ISSUER_LOGINS), family(ISSUER_LAST), family(MOVE_ENDS)
        for name in self._logins.issuers():
            count.add_metric([name], self._logins.count(name))
            last.add_metric([name], self._logins.last(name) or 0)
        for move in self._moves():
            ends.add_metric([move.old, move.new], move.ends)
        return count, last, ends
