"""Fifty logins at a time, the kinds in interleaved rounds: how many a second, and whether any fails."""

import multiprocessing
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

from tests.bench.budget import Row
from tests.bench.logins import COLD, KINDS, SCRAM, TRUST, WARM, Kind, Logins
from tests.bench.stats import median

__all__ = ["Rate", "measure", "rows"]

PROCESSES = 2
AT_A_TIME = 50


@dataclass(frozen=True, slots=True)
class Rate:
    """Logins of one kind: a second in each round, and how many failed in all."""

    per_second: tuple[float, ...]
    failed: int

    @property
    def middle(self) -> float:
        """The median round."""
        return median(self.per_second)


def measure(logins: Logins, rounds: int, per_round: int) -> Mapping[Kind, Rate]:
    """`rounds` times each kind in turn, `per_round` logins each, 50 at a time from two client processes."""
    seen: dict[Kind, list[tuple[float, int]]] = {kind: [] for kind in KINDS}
    for number in range(rounds):
        for kind in KINDS:
            seen[kind].append(_round(logins, kind, logins.tokens(kind, number * per_round, per_round)))
    return {
        kind: Rate(tuple(rate for rate, _ in found), sum(failed for _, failed in found)) for kind, found in seen.items()
    }


def rows(found: Mapping[Kind, Rate]) -> list[Row]:
    """The table of the second budget."""
    table = [
        Row(
            f"{kind}: logins/s, {AT_A_TIME} at a time",
            f"{rate.middle:.0f}, {rate.failed} failed",
            "none fails",
            not rate.failed,
        )
        for kind, rate in found.items()
    ]
    for kind in (WARM, COLD):
        share = found[kind].middle / found[TRUST].middle
        table.append(Row(f"{kind}: logins/s as a multiple of trust", f"{share:.2f}", ">= 0.8", share >= 0.8))
        faster = found[kind].middle / found[SCRAM].middle
        table.append(Row(f"{kind}: logins/s as a multiple of {SCRAM}", f"{faster:.2f}", "> 1", faster > 1))
    return table


def _round(logins: Logins, kind: Kind, tokens: Sequence[str]) -> tuple[float, int]:
    """Logins a second of one round, and how many failed. The clients are started before the clock is."""
    context = multiprocessing.get_context("spawn")
    bare = replace(logins, cold=())
    pipes = [context.Pipe() for _ in range(PROCESSES)]
    clients = [
        context.Process(target=_client, args=(bare, kind, tokens[number::PROCESSES], ours))
        for number, (_, ours) in enumerate(pipes)
    ]
    for client in clients:
        client.start()
    for theirs, _ in pipes:
        theirs.recv()  # imported, and one login made
    started = time.perf_counter()
    for theirs, _ in pipes:
        theirs.send("go")
    failed = sum(theirs.recv() for theirs, _ in pipes)
    took = time.perf_counter() - started
    for client in clients:
        client.join()
    return len(tokens) / took, failed


def _client(logins: Logins, kind: Kind, tokens: Sequence[str], pipe: Connection) -> None:
    logins.seconds(kind, logins.warm)
    pipe.send("ready")
    pipe.recv()
    threads = AT_A_TIME // PROCESSES
    shares = [tokens[number::threads] for number in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        pipe.send(sum(pool.map(lambda share: _failures(logins, kind, share), shares)))


def _failures(logins: Logins, kind: Kind, tokens: Sequence[str]) -> int:
    failed = 0
    for token in tokens:
        try:
            logins.seconds(kind, token)
        except Exception:  # noqa: BLE001 - counted, whatever it is: the budget is that there is none
            failed += 1
    return failed
