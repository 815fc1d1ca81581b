"""When a decider that does not answer is left alone. No I/O, no clock of its own; one decider, one event loop.

Closed, every question goes out. After enough faults in a row it is open: none does, and nobody waits for a time-out.
Then it is half-open: one question goes out as a probe, and what becomes of that decides.

Only faults move it, never a no. Those that a question may have caused itself count for each identity up to half of what
opens it, so that no one can have it opened for the others, nor keep it open with poisoned probes.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from pgbearer.tokens.steady import steady_seconds

__all__ = ["Breaker", "Pass"]

_REMEMBERED: Final = 1000
"""Identities whose faults are remembered one by one."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave to ask one question; to be given back by `Breaker.succeeded`, `failed` or `released`."""

    identity: str
    probe: bool


class Breaker:
    """Counts faults.

    Args:
        failures: in a row, that open it; at least 2.
        open_for: seconds until a probe.
        steady: a clock that nobody can set, in seconds.
    """

    def __init__(self, failures: int, open_for: float, steady: Callable[[], float] = steady_seconds) -> None:
        self._failures = failures
        self._open_for = open_for
        self._steady = steady
        self._most_of_one = max(1, failures // 2)
        self._own: Counter[str] = Counter()
        self._connecting = 0
        self._open_until: float | None = None
        self._probing = False
        self._barred: OrderedDict[str, float] = OrderedDict()

    @property
    def state(self) -> Literal["closed", "open", "half-open"]:
        """What becomes of the next question."""
        if self._open_until is None:
            return "closed"
        return "open" if self._steady() < self._open_until else "half-open"

    def admit(self, identity: str) -> Pass | None:
        """Leave to ask, or None: the decider is to be left alone."""
        state = self.state
        if state == "closed":
            return Pass(identity, probe=False)
        barred = self._barred.get(identity, 0.0)
        if state == "open" or self._probing or self._steady() < barred:
            return None
        self._probing = True
        return Pass(identity, probe=True)

    def succeeded(self, given: Pass) -> None:
        """An opinion came, a no as well as a yes, or some other sign that it answers: all faults before are past."""
        self._probing = self._probing and not given.probe
        if self._open_until is not None and not given.probe:
            return  # asked before it opened: says nothing of now
        self._own.clear()
        self._connecting = 0
        self._open_until = None
        self._barred.clear()

    def failed(self, given: Pass, *, connecting: bool) -> None:
        """A fault.

        Args:
            given: what it was asked with.
            connecting: whether it failed before any part of the question was sent.
        """
        self._probing = self._probing and not given.probe
        if self._open_until is not None:
            if given.probe:
                self._reopen(given, connecting=connecting)
            return
        if connecting:
            self._connecting += 1
        elif given.identity in self._own or len(self._own) < _REMEMBERED:
            self._own[given.identity] += 1
        if self._weight() >= self._failures:
            self._open_until = self._steady() + self._open_for

    def released(self, given: Pass) -> None:
        """Nothing is known: the question was not asked to its end."""
        self._probing = self._probing and not given.probe

    def _weight(self) -> int:
        return self._connecting + sum(min(count, self._most_of_one) for count in self._own.values())

    def _reopen(self, given: Pass, *, connecting: bool) -> None:
        """Next time somebody else may probe first, if it may have been the question that did it."""
        now = self._steady()
        self._open_until = now + self._open_for
        if not connecting:
            self._barred[given.identity] = now + 2 * self._open_for
            if len(self._barred) > _REMEMBERED:
                self._barred.popitem(last=False)
