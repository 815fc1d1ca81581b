"""Two decisions about one login, how they differ, and how often; bounded, whatever comes. No I/O, no clock."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pgbearer.audit import DecisionRecord, timestamp
from pgbearer.policy import Advice, Allow, Outcome, Policy
from pgbearer.service.hearing import advice_from
from pgbearer.service.judge import Judgement
from pgbearer.verified import Verified
from pgbearer.wire import AccessRequest, Reason

__all__ = ["Candidate", "Difference", "Kind", "Login", "Tally", "Verdict", "difference"]

LISTED: Final = 1_000
"""The last differences that are remembered."""
RULES: Final = 10_000
"""Pairs of kind and rule that are counted apart; what comes after them is counted together."""
OTHERS: Final = "(others)"
_DETAIL: Final = 300
"""Characters."""


class Kind(StrEnum):
    """How a candidate's decision differs from the enforced one."""

    WOULD_ALLOW = "would_allow"
    WOULD_DENY = "would_deny"
    OTHER_END = "other_end"
    """Both allow, until different times."""
    OTHER_REASON = "other_reason"
    """Both deny, for different reasons."""
    ERROR = "error"
    """The candidate came to no decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A policy that decides nothing."""

    file: Path
    digest: str
    """SHA-256 of the file, hex."""
    policy: Policy
    since: int
    """Epoch milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A decision as far as it can be compared."""

    reason: Reason
    rules: tuple[str, ...]
    ends_at: int | None = None
    """Epoch seconds; None for a denial."""
    detail: str | None = None

    @classmethod
    def of(cls, outcome: Outcome) -> "Verdict":
        """That of a policy."""
        if isinstance(outcome, Allow):
            return cls(reason=Reason.ALLOWED, rules=outcome.rules, ends_at=outcome.ends_at)
        return cls(reason=outcome.reason, rules=(outcome.rule,) if outcome.rule else (), detail=outcome.detail)

    @property
    def allowed(self) -> bool:
        """True if it allows."""
        return self.reason is Reason.ALLOWED

    def entry(self) -> dict[str, Any]:
        """As it is listed."""
        return {
            "decision": "allow" if self.allowed else "deny",
            "reason": self.reason.value,
            "rules": list(self.rules),
            "ends_at": None if self.ends_at is None else timestamp(self.ends_at * 1000),
            "detail": self.detail and self.detail[:_DETAIL],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A decided login: what the candidate is asked, and what the enforced policy came to. It holds no token."""

    verified: Verified
    access: AccessRequest
    server: str
    now: int
    """Epoch seconds."""
    keys_age: float | None
    enforced: Verdict
    record: DecisionRecord
    advice: Mapping[str, Advice] = field(default_factory=dict)
    """What deciders said to it. A candidate that would have asked others gets no answer of them."""

    @classmethod
    def of(cls, access: AccessRequest, judgement: Judgement, record: DecisionRecord, now: int) -> "Login":
        """A login whose token was verified; `now` in epoch seconds."""
        assert judgement.verified is not None  # noqa: S101 - whoever calls has looked
        allow = judgement.allow
        return cls(
            verified=judgement.verified,
            access=access,
            server=record.server or "",
            now=now,
            keys_age=judgement.keys_age,
            enforced=Verdict(
                reason=judgement.reason,
                rules=judgement.rules,
                ends_at=allow.ends_at if allow else None,
                detail=judgement.detail,
            ),
            record=record,
            advice=advice_from(judgement.asked),
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """A login that the candidate would have decided otherwise; without a verdict it failed, for `error`."""

    kind: Kind
    login: Login
    candidate: Verdict | None
    error: str | None = None

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules to look at: those of the candidate's decision, or if none made it, of the enforced one's."""
        return (self.candidate.rules if self.candidate else ()) or self.login.enforced.rules

    def entry(self) -> dict[str, Any]:
        """As it is listed, in reading order."""
        record = self.login.record
        return {
            "time": timestamp(record.at),
            "kind": self.kind.value,
            "decision_id": record.decision_id,
            "token_ref": record.token_ref,
            "identity": record.identity,
            "display": record.display,
            "role": record.role,
            "database": record.database,
            "server": record.server,
            "policy": record.policy,
            "enforced": self.login.enforced.entry(),
            "candidate": self.candidate.entry() if self.candidate else {"error": self.error},
        }


def difference(login: Login, candidate: Verdict) -> Difference | None:
    """How two verdicts differ, or None. Other rules that come to the same are no difference."""
    enforced = login.enforced
    if enforced.allowed != candidate.allowed:
        return Difference(Kind.WOULD_ALLOW if candidate.allowed else Kind.WOULD_DENY, login, candidate)
    if enforced.allowed and enforced.ends_at != candidate.ends_at:
        return Difference(Kind.OTHER_END, login, candidate)
    if enforced.reason is not candidate.reason:
        return Difference(Kind.OTHER_REASON, login, candidate)
    return None


@dataclass(slots=True)
class Tally:
    """What came out so far."""

    compared: int = 0
    skipped: int = 0
    """Logins that there was no time for."""
    kinds: Counter[Kind] = field(default_factory=Counter)
    last: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=LISTED))
    """As they are listed: what else there was to a login is let go."""
    _rules: Counter[tuple[Kind, str]] = field(default_factory=Counter)

    def add(self, found: Difference | None) -> None:
        """One more login was compared."""
        self.compared += 1
        if found is None:
            return
        self.kinds[found.kind] += 1
        self.last.append(found.entry())
        for rule in found.rules or ("",):
            key = (found.kind, rule)
            full = len(self._rules) >= RULES and key not in self._rules
            self._rules[(found.kind, OTHERS) if full else key] += 1

    def numbers(self) -> dict[str, Any]:
        """How many, by kind."""
        differing = {kind.value: self.kinds[kind] for kind in Kind}
        return {"compared": self.compared, "skipped": self.skipped, "differing": differing}

    def by_rule(self) -> list[dict[str, Any]]:
        """How many, by kind and rule, the most first; no rule where none decided."""
        ordered = sorted(self._rules.items(), key=lambda item: (-item[1], item[0]))
        return [{"kind": kind.value, "rule": rule or None, "count": count} for (kind, rule), count in ordered]
