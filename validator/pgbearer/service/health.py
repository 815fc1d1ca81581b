"""Whether logins can be decided, and if not, why: what /readyz tells and the metrics repeat."""

import time
from dataclasses import asdict
from typing import Any

from pgbearer.audit import AuditLog, timestamp
from pgbearer.deciders import SeatStatus
from pgbearer.service.decide import Decider
from pgbearer.service.metrics import Metrics
from pgbearer.service.moving import moves_report
from pgbearer.service.shadow import Shadow
from pgbearer.service.state import State
from pgbearer.tokens import KeyStatus, Move

__all__ = ["Health"]


class Health:
    """Reads the parts of a service; keeps only what the last reading of the file came to.

    Args:
        decider: holds the configuration in force.
        audit: must be writable.
        forgotten: ids of revocations that the audit told of at start and the state folder did not have.
    """

    def __init__(self, decider: Decider, audit: AuditLog, *, forgotten: tuple[str, ...] = ()) -> None:
        self.forgotten = forgotten
        self.config_problems: tuple[str, ...] = ()
        """Why the file as it stands was refused; empty if it is in force."""
        self._decider = decider
        self._audit = audit

    @property
    def state(self) -> State:
        """The configuration in force."""
        return self._decider.state

    def issuers(self) -> tuple[KeyStatus, ...]:
        """How the keys of every issuer stand; a revoked one is none."""
        return self.state.verifiers.status(time.time())

    @property
    def audit_fault(self) -> str | None:
        """Why records cannot be written or synced; None while they can."""
        return self._decider.audit_fault or self._audit.fault

    @property
    def shadow(self) -> Shadow:
        """What a candidate is compared by."""
        return self._decider.shadow

    def deciders(self) -> tuple[SeatStatus, ...]:
        """How every decider stands. None of them is an obstacle: a login that does not ask needs none."""
        return self.state.panel.status() if self.state.panel else ()

    def revocations(self) -> int:
        """How many are in force."""
        now = time.time()
        return sum(entry.in_force(now) for entry in self.state.revocations.current().entries)

    def moves(self) -> tuple[Move, ...]:
        """From which issuer to which people are moving."""
        return self.state.verifiers.neighbours.moves

    def obstacles(self) -> list[str]:
        """What keeps logins from being decided. One issuer with keys is enough; tokens of the others are denied."""
        found = []
        if self._decider.draining:
            found.append("the service is stopping")
        if self.audit_fault is not None:
            found.append(f"the audit cannot be written: {self.audit_fault}")
        if not any(issuer.ready for issuer in self.issuers()):
            found.append("no issuer has usable keys")
        return found

    def report(self) -> dict[str, Any]:
        """What /readyz says. Names no person and no secret."""
        state = self.state
        obstacles = self.obstacles()
        return {
            "ready": not obstacles,
            "obstacles": obstacles,
            "config": {
                "digest": state.digest,
                "loaded_at": timestamp(state.loaded_at),
                "current": not self.config_problems,
                "problems": list(self.config_problems),
            },
            "issuers": [
                {
                    "name": issuer.issuer,
                    "ready": issuer.ready,
                    "keys": len(issuer.keys),
                    "denied_keys": len(issuer.denied),
                    "age_seconds": None if issuer.age is None else round(issuer.age),
                    "stale": issuer.stale,
                    "last_error": issuer.last_error,
                }
                for issuer in self.issuers()
            ],
            "moves": moves_report(self.moves(), self._decider.logins, time.time()),
            "deciders": [asdict(decider) for decider in self.deciders()],
            "revocations": self.revocations(),
            "revocations_forgotten": len(self.forgotten),
            "shadow": self.shadow.summary(),
            "tls": self._tls(),
            "audit": {"ok": self.audit_fault is None, "fault": self.audit_fault},
        }

    def _tls(self) -> dict[str, Any] | None:
        """Not an obstacle either: with the certificate in use logins go on until it expires."""
        tls = self.state.tls
        if tls is None:
            return None
        return {"current": tls.fault is None, "fault": tls.fault, "expires": timestamp(int(tls.expires * 1000))}

    def measure(self, metrics: Metrics) -> None:
        """Bring the gauges up to date."""
        metrics.ready.set(not self.obstacles())
        metrics.audit_ok.set(self.audit_fault is None)
        metrics.config_ok.set(not self.config_problems)
        tls = self.state.tls
        metrics.tls_ok.set(tls is None or tls.fault is None)
        metrics.tls_expires.set(tls.expires if tls else 0)
        metrics.shadow_running.set(self.shadow.candidate is not None)
        metrics.revocations.set(self.revocations())
        metrics.revocations_forgotten.set(len(self.forgotten))
