"""Judge, record, answer, in this order: nothing is answered that is not recorded."""

import asyncio
import logging
import time
from dataclasses import replace

from pgbearer.audit import AuditLog, AuditUnavailable, DecisionRecord, Recent, Remembered
from pgbearer.service.exchange import Peer
from pgbearer.service.judge import Judgement, judge
from pgbearer.service.limits import Buckets
from pgbearer.service.logs import log_error
from pgbearer.service.metrics import Metrics
from pgbearer.service.moving import Logins
from pgbearer.service.recording import login_record, undecoded_record
from pgbearer.service.shadow import Shadow
from pgbearer.service.state import State
from pgbearer.wire import Allowed, Answer, LoginRequest, Reason, Refused, RequestError

__all__ = ["Decider"]

_log = logging.getLogger(__name__)


class Decider:
    """Answers logins. For one event loop; no method raises for what a request holds.

    Args:
        state: the configuration in force; a reload replaces it here.
        audit: where decisions are recorded.
        recent: where the last ones are remembered.
        metrics: where they are counted.
    """

    def __init__(self, state: State, audit: AuditLog, recent: Recent, metrics: Metrics) -> None:
        self.state = state
        self.draining = False
        """Set when the service ends: what still comes is answered `not_ready`, so that the module asks elsewhere."""
        self.audit_fault: str | None = None
        """Why the last record could not be written; None if it was."""
        self.shadow = Shadow(audit, metrics)
        """Sees each login when it is decided; a reload leaves it alone."""
        self.logins = Logins()
        """By which issuers people came; a reload leaves it alone."""
        self._audit = audit
        self._recent = recent
        self._metrics = metrics
        self._buckets = Buckets()

    async def decide(self, request: LoginRequest, peer: Peer, caller: str | None) -> Answer:
        """Decide and record one login; whatever goes wrong is a denial.

        Args:
            request: what is asked.
            peer: who asks, as the kernel knows it.
            caller: its name under ``servers:``, None if it has none.
        """
        started = time.perf_counter()
        state = self.state  # a reload meanwhile does not mix two policies in one decision
        now = time.time()
        try:
            judgement = await self._judge(state, request, peer, caller, now)
        except asyncio.CancelledError:
            self._gone(request, state, peer, caller, now)
            raise
        if judgement.verified is not None:
            self.logins.saw(judgement.verified.issuer, now)
            move = state.verifiers.neighbours.leaving.get(judgement.verified.issuer)
            if move is not None and judgement.detail is None:
                judgement = replace(judgement, detail=str(move))
        record = login_record(request, judgement, policy=state.digest, server=caller, peer=peer, at=int(now * 1000))
        answer = self._record(record, judgement)
        self.shadow.saw(request, judgement, record, int(now))
        self._metrics.decided(record.server, answer, seconds=time.perf_counter() - started)
        if judgement.asked:
            self._metrics.asked(judgement.asked)
        return answer

    def refuse(self, error: RequestError, peer: Peer, caller: str | None) -> Answer:
        """Refuse and record a request that could not be decoded; arguments as for `decide`."""
        judgement = Judgement(reason=error.reason if caller else Reason.CALLER_UNKNOWN, detail=error.detail)
        record = undecoded_record(
            error.echo, judgement, policy=self.state.digest, server=caller, peer=peer, at=time.time_ns() // 1_000_000
        )
        answer = self._record(record, judgement)
        self._metrics.decided(record.server, answer, seconds=0)
        return answer

    def _gone(self, request: LoginRequest, state: State, peer: Peer, caller: str | None, now: float) -> None:
        """Nobody waits for the answer any more; that it was asked for is recorded all the same."""
        judgement = Judgement(reason=Reason.CALLER_GONE)
        record = login_record(request, judgement, policy=state.digest, server=caller, peer=peer, at=int(now * 1000))
        self._metrics.decided(record.server, self._record(record, judgement), seconds=time.time() - now)

    async def _judge(
        self, state: State, request: LoginRequest, peer: Peer, caller: str | None, now: float
    ) -> Judgement:
        if self.draining:
            return Judgement(reason=Reason.NOT_READY, detail="the service is stopping")
        try:
            return await judge(state, self._buckets, caller, request, now, peer.whence)
        except Exception as error:  # noqa: BLE001 - the last line of defence: what nobody foresaw is seen, and denies
            log_error("deciding a login failed", error)
            return Judgement(reason=Reason.INTERNAL_ERROR, detail=type(error).__name__)

    def _record(self, record: DecisionRecord, judgement: Judgement) -> Answer:
        own_line = True
        try:
            own_line = self._audit.write(record)
            self.audit_fault = None
        except AuditUnavailable as error:
            self.audit_failed(error)
            record = replace(record, reason=Reason.AUDIT_UNAVAILABLE, detail=error.what, ends_at=None)
        self._recent.add(Remembered(record, judgement.trace), junk=not own_line)
        allow = judgement.allow
        if not record.allowed or allow is None:
            return Refused(decision_id=record.decision_id, reason=record.reason)
        return Allowed(
            decision_id=record.decision_id,
            identity=allow.identity,
            ends_at=allow.ends_at * 1000,
            claims=allow.claims,
        )

    def audit_failed(self, error: AuditUnavailable) -> None:
        """Something could not be recorded: say so once, and be not ready until something can."""
        self._metrics.audit_failures.inc()
        if self.audit_fault is None:  # once, not for every login
            _log.error("the audit cannot be written, every login is denied: %s", error.diagnostics())
        self.audit_fault = error.what
