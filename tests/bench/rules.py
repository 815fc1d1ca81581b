"""What a decision costs with few and with many rules: the policy alone, in one process, sizes taking turns."""

import statistics
import time
from collections.abc import Iterator

from pgbearer import policy
from pgbearer.policy import Allow, Policy
from tests.bench.budget import Row
from tests.unit.logins import NOW, READERS, compiled, request, verified

__all__ = ["rows"]

SIZES = (10, 1_000, 10_000)
ROUNDS = 50
PER_ROUND = 100

TEAM = (
    "{{name: team {0}, issuers: [corp], any_role: [team-{0}], databases: [db{0}, 'db{0}_*'], roles: [r{0}, 'r{0}_*'],"
    ' when: claims.acr == "mfa"}}'
)
DENIED = "{{name: leavers {0}, deny: true, any_group: [/leavers/{0}]}}"


def rows() -> list[Row]:
    """The table: the same login, allowed by one rule, among so many others of teams that it is none of."""
    policies, loading = {}, {}
    for size in SIZES:
        began = time.perf_counter()
        policies[size] = compiled(READERS, *_others(size - 1))
        loading[size] = time.perf_counter() - began
    taken: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(ROUNDS):
        for size, rules in policies.items():
            taken[size].append(_decide(rules))
    median = {size: statistics.median(times) for size, times in taken.items()}
    return [*_decisions(median), *_loads(loading)]


def _decisions(median: dict[int, float]) -> Iterator[Row]:
    least = SIZES[0]
    yield Row(f"a decision with {least} rules", f"{median[least] * 1e6:.0f} us")
    for size in SIZES[1:]:
        ratio = median[size] / median[least]
        what = f"a decision with {size} rules, as a multiple of one with {least}"
        yield Row(what, f"{ratio:.2f}", "< 2", ratio < 2)


def _loads(loading: dict[int, float]) -> Iterator[Row]:
    for size, seconds in loading.items():
        yield Row(f"reading and compiling {size} rules", f"{seconds:.2f} s")


def _others(count: int) -> Iterator[str]:
    for number in range(count):
        yield (DENIED if number % 10 == 9 else TEAM).format(number)


def _decide(rules: Policy) -> float:
    """Seconds that one decision took, of many."""
    person, asked = verified(), request()
    began = time.perf_counter()
    for _ in range(PER_ROUND):
        outcome = policy.evaluate(rules, person, asked, server="local", now=NOW, keys_age=0.0)
    taken = time.perf_counter() - began
    if not isinstance(outcome, Allow):
        raise TypeError(f"not allowed: {outcome}")  # a benchmark of refusals would be a fast one
    return taken / PER_ROUND
