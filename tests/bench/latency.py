"""One login at a time, the kinds in turn: what each adds to `trust`."""

from collections.abc import Mapping

from tests.bench.budget import Row
from tests.bench.logins import COLD, KINDS, SCRAM, TRUST, WARM, Kind, Logins
from tests.bench.stats import Summary

__all__ = ["measure", "rows", "verdict_line"]


def measure(logins: Logins, count: int, warm_up: int = 20) -> Mapping[Kind, Summary]:
    """Log in `count` times by each kind, one of each at a time, so that a slow moment hits all alike."""
    tokens = {kind: logins.tokens(kind, 0, warm_up + count) for kind in KINDS}
    taken: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
    for number in range(warm_up + count):
        for kind in KINDS:
            taken[kind].append(logins.seconds(kind, tokens[kind][number]))
    return {kind: Summary.of(kind, seconds[warm_up:]) for kind, seconds in taken.items()}


def rows(found: Mapping[Kind, Summary]) -> list[Row]:
    """The table of the first budget."""
    table = [Row(f"{s.kind}: p50, p99", f"{s.p50:.2f} ms, {s.p99:.2f} ms") for s in found.values()]
    for kind, most in ((WARM, 0.4), (COLD, 0.6)):
        ratio = _ratio(found, kind)
        what = f"{kind}: added over trust, as a share of what {SCRAM} adds"
        table.append(Row(what, f"{_added(found, kind):.2f} ms, {ratio:.2f}", f"<= {most}", ratio <= most))
    return table


def verdict_line(found: Mapping[Kind, Summary]) -> str:
    """The last line that `make bench` prints."""
    ours, theirs = _added(found, WARM), _added(found, SCRAM)
    return f"added latency over trust: pgbearer {ours:.2f} ms, {SCRAM} {theirs:.2f} ms, ratio {ours / theirs:.2f}"


def _added(found: Mapping[Kind, Summary], kind: Kind) -> float:
    return found[kind].p50 - found[TRUST].p50


def _ratio(found: Mapping[Kind, Summary], kind: Kind) -> float:
    return _added(found, kind) / _added(found, SCRAM)
