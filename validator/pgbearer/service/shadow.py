"""A candidate policy beside the enforced one: what it would have decided, compared and counted, and nothing else.

It sees a login after that was decided and recorded, and gives nothing back: no answer waits for it, and no fault of it
is a fault of a login. It has a fifth of the event loop at most; what it cannot keep up with is counted as skipped.
"""

import asyncio
import contextlib
import gc
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from pgbearer.audit import AuditLog, AuditUnavailable, DecisionRecord, timestamp
from pgbearer.policy import Ask, conclude, evaluate
from pgbearer.service.judge import Judgement
from pgbearer.service.logs import log_error
from pgbearer.service.metrics import Metrics
from pgbearer.service.shadow_tally import Candidate, Difference, Kind, Login, Tally, Verdict, difference
from pgbearer.wire import LoginRequest, Reason

__all__ = ["Shadow"]

WAITING: Final = 1_000
"""Logins that may wait to be compared."""
SLICE_SECONDS: Final = 0.002
"""Of the thread's own time, for as many logins as fit, before everything else has its turn."""
PAUSES: Final = 4
"""Times as long as it worked, it then waits."""
SLOWEST_SECONDS: Final = 0.25
"""Of the thread's own time, for one login: a candidate that takes longer is stopped."""
NOTE_SECONDS: Final = 60.0
"""Between two lines in the audit, if there was anything to compare."""


_NO_POLICYS: Final = frozenset(
    {
        *(Reason.TOKEN_INACTIVE, Reason.ISSUER_UNAVAILABLE, Reason.INTROSPECTION_REFUSED, Reason.INTROSPECTION_INVALID),
        *(Reason.TOKEN_REVOKED, Reason.KEY_DENIED),
    }
)
"""Refusals of a verified token that came after the policy, and are not its own: no policy could differ in them."""

_log = logging.getLogger(__name__)


class Shadow:
    """Compares with one candidate at a time. For one event loop.

    Args:
        audit: where beginning, end and numbers are recorded.
        metrics: where comparisons are counted.
        timer: seconds of work; the thread's own, so that what else the machine does is not held against a candidate.
        pause: for tests.
    """

    def __init__(
        self,
        audit: AuditLog,
        metrics: Metrics,
        *,
        timer: Callable[[], float] = time.thread_time,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.candidate: Candidate | None = None
        """What is compared with; None while nothing is."""
        self.tally = Tally()
        """What came out, of this candidate or the last."""
        self._last: Candidate | None = None
        self._why_stopped: str | None = None
        self._audit = audit
        self._metrics = metrics
        self._timer = timer
        self._pause = pause
        self._queue: deque[Login] = deque()
        self._waiting = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._task: asyncio.Task[None] | None = None
        self._noted: tuple[float | None, int] = (None, 0)

    def start(self, candidate: Candidate, *, peer_uid: int) -> None:
        """Compare from the next login on; nothing may be compared yet.

        Raises:
            AuditUnavailable: it could not be recorded, and is not begun.
        """
        self._audit.note("shadow_start", peer_uid=peer_uid, file=str(candidate.file), candidate=candidate.digest)
        self.candidate = self._last = candidate
        self.tally = Tally()
        self._why_stopped = None
        self._noted = (None, 0)
        self._queue.clear()
        self._settled.set()
        self._task = asyncio.create_task(self._work(candidate), name="shadow")
        self._task.add_done_callback(_ended)

    def stop(self, *, peer_uid: int | None, why: str | None = None) -> None:
        """Compare no more; the report stays. `peer_uid` is None if it stops by itself, and `why` says why.

        Raises:
            AuditUnavailable: it could not be recorded, and goes on.
        """
        if self.candidate is not None:
            numbers = self.tally.numbers()
            self._audit.note("shadow_stop", peer_uid=peer_uid, why=why, candidate=self.candidate.digest, **numbers)
        self._end(why)

    def saw(self, request: LoginRequest, judgement: Judgement, record: DecisionRecord, now: int) -> None:
        """A login was decided and recorded; it is compared later, if the token was verified at all.

        Args:
            request: what was asked; the token is not kept.
            judgement: what the enforced policy came to.
            record: of it.
            now: epoch seconds at which it was decided.
        """
        if self.candidate is None or judgement.verified is None or judgement.reason in _NO_POLICYS:
            return
        if len(self._queue) >= WAITING:
            self._skipped(1)
            return
        self._queue.append(Login.of(request.access, judgement, record, now))
        self._settled.clear()
        self._waiting.set()

    async def settled(self, seconds: float) -> None:
        """Wait until what was seen is compared, at most so long."""
        try:
            await asyncio.wait_for(self._settled.wait(), seconds)
        except TimeoutError:
            return  # the report says how many are waiting

    def report(self) -> dict[str, Any]:
        """Everything that came out, of the candidate or, if it was stopped, of the last."""
        return {**self.summary(), "by_rule": self.tally.by_rule(), "differences": [*reversed(self.tally.last)]}

    def summary(self) -> dict[str, Any]:
        """Its numbers, without names."""
        last = self._last
        return {
            "running": self.candidate is not None,
            "stopped": self._why_stopped,
            "file": last and str(last.file),
            "candidate": last and last.digest,
            "since": last and timestamp(last.since),
            "waiting": len(self._queue),
            **self.tally.numbers(),
        }

    def note(self, now: float) -> None:
        """Record the numbers, if there are new ones and the last time is long enough ago; to be called every second.

        Args:
            now: seconds on a monotonic clock.

        Raises:
            AuditUnavailable: they could not be recorded; the next call tries again.
        """
        at, seen = self._noted
        if at is None:
            self._noted = (now, seen)
            return
        numbers = self.tally.numbers()
        if self.candidate is None or numbers["compared"] == seen or now - at < NOTE_SECONDS:
            return
        self._audit.note("shadow", candidate=self.candidate.digest, **numbers)
        self._noted = (now, numbers["compared"])

    async def _work(self, candidate: Candidate) -> None:
        while self.candidate is candidate:
            await self._waiting.wait()
            with _no_collection():
                worked, slowest = self._slice(candidate)
            if slowest > SLOWEST_SECONDS:
                self._too_slow(slowest)
                return
            if not self._queue:
                self._waiting.clear()
                self._settled.set()
            await self._pause(worked * PAUSES)

    def _slice(self, candidate: Candidate) -> tuple[float, float]:
        """Compare for `SLICE_SECONDS`, or until one login was too slow: how long all took, and the last."""
        began = self._timer()
        worked = last = 0.0
        while self._queue and worked < SLICE_SECONDS and last <= SLOWEST_SECONDS:
            self._compare(candidate, self._queue.popleft())
            before, worked = worked, self._timer() - began
            last = worked - before
        return worked, last

    def _compare(self, candidate: Candidate, login: Login) -> None:
        found = _difference(candidate, login)
        self.tally.add(found)
        self._metrics.shadow.labels(found.kind.value if found else "same").inc()

    def _end(self, why: str | None) -> None:
        self.candidate = None
        self._why_stopped = why
        self._queue.clear()
        self._settled.set()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._task = None

    def _skipped(self, count: int) -> None:
        self.tally.skipped += count
        self._metrics.shadow.labels("skipped").inc(count)

    def _too_slow(self, seconds: float) -> None:
        why = f"the candidate took {seconds:.1f} s for one login"
        _log.warning("shadow stopped: %s", why)
        self._skipped(len(self._queue))
        try:
            self.stop(peer_uid=None, why=why)
        except AuditUnavailable as error:
            _log.error("the end of shadow could not be recorded: %s", error.diagnostics())
            self._end(why)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """A search of the whole heap for garbage takes this thread's time too, and would be held against the candidate."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _ended(task: "asyncio.Task[None]") -> None:
    """Say so if comparing died of a bug; logins go on, and are counted as skipped once too many wait."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log_error("comparing with the candidate ended", error)


def _difference(candidate: Candidate, login: Login) -> Difference | None:
    """What the candidate would have decided otherwise."""
    try:
        outcome = evaluate(
            candidate.policy,
            login.verified,
            login.access,
            server=login.server,
            now=login.now,
            keys_age=login.keys_age,
        )
        if isinstance(outcome, Ask):
            if unasked := sorted(set(outcome.deciders) - login.advice.keys()):
                return Difference(Kind.ERROR, login, None, f"it would have asked {', '.join(unasked)}")
            outcome = conclude(outcome, login.advice)
    except Exception as error:  # noqa: BLE001 - whatever a candidate does, it is only counted
        return Difference(Kind.ERROR, login, None, type(error).__name__)
    return difference(login, Verdict.of(outcome))
