"""One decision as it is recorded: what was asked, who it turned out to be, what was decided and why. Never a token."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pgbearer.audit.facts import Facts
from pgbearer.audit.inquiry import Inquiry
from pgbearer.wire import Reason

__all__ = ["DecisionRecord", "timestamp"]


def timestamp(epoch_ms: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC, to the millisecond."""
    seconds, milliseconds = divmod(epoch_ms, 1000)
    return f"{_to_the_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=256)
def _to_the_second(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """One decision. A decision is not yet a session: NOLOGIN, CONNECT, connection limits and pg_ident come after it.

    `identity`, `display` and `issuer` are set from verified claims only; what nobody vouches for is in `unverified`.
    """

    decision_id: str
    at: int
    """Epoch milliseconds."""
    reason: Reason
    rules: tuple[str, ...] = ()
    """Names of the rules that decided."""
    asked: tuple[Inquiry, ...] = ()
    """The deciders that were asked, and what they said."""
    detail: str | None = None
    policy: str
    """Digest of the policy file in force."""

    server: str | None
    """Name under ``servers:`` of the database server that asked, known by the peer; None if it is none of them."""
    peer_uid: int | None
    """Of the process that asked, as the kernel knows it; None if it asked over the network."""
    peer_certificate: str | None = None
    """Over the network: the SPIFFE ID or the DNS names of its verified certificate."""
    request_id: str | None = None
    role: str | None = None
    database: str | None = None
    replication: str | None = None
    client_address: str | None = None
    client_port: int | None = None
    backend_pid: int | None = None
    """The server process that asks."""

    authentic: bool = False
    """True if the token's signature verified: an issuer of ours made it, whatever else is wrong with it."""
    verified: bool = False
    """True if the token's signature and every check passed."""
    token_ref: str | None = None
    """First 12 hex digits of SHA-256(token); the client can print it too."""
    issuer: str | None = None
    identity: str | None = None
    display: str | None = None
    actors: tuple[str, ...] = ()
    """Who acts for the person, and who acted before, the present one first; empty: nobody does."""
    ends_at: int | None = None
    """When an allowed session ends, epoch milliseconds."""
    unverified: Mapping[str, str | None] = field(default_factory=dict)
    """What the client or the server merely says about itself."""
    facts: Facts | None = None
    """What it was decided from; None if the request could not be read."""

    @property
    def allowed(self) -> bool:
        """True if the login was allowed."""
        return self.reason is Reason.ALLOWED

    @property
    def may_be_junk(self) -> bool:
        """True for a refusal of something unverified, which can be caused as often as anybody likes."""
        return not self.verified and not self.allowed

    def entry(self) -> dict[str, Any]:
        """The members of the record's line, in reading order, without those that the chain adds."""
        return {
            "decision_id": self.decision_id,
            "decision": "allow" if self.allowed else "deny",
            "reason": self.reason.value,
            "rules": list(self.rules),
            "asked": [inquiry.entry() for inquiry in self.asked],
            "detail": self.detail,
            "policy": self.policy,
            "server": self.server,
            "peer_uid": self.peer_uid,
            "peer_certificate": self.peer_certificate,
            "request_id": self.request_id,
            "role": self.role,
            "database": self.database,
            "replication": self.replication,
            "client": {"address": self.client_address, "port": self.client_port},
            "backend_pid": self.backend_pid,
            "authentic": self.authentic,
            "verified": self.verified,
            "token_ref": self.token_ref,
            "issuer": self.issuer,
            "identity": self.identity,
            "display": self.display,
            "actors": list(self.actors),
            "ends_at": None if self.ends_at is None else timestamp(self.ends_at),
            "unverified": dict(self.unverified),
            "facts": self.facts and self.facts.entry(),
        }
