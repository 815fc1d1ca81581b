"""What the service answers: allow with an identity and an end, or deny with a reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pgbearer.verified import ClaimValue
from pgbearer.wire.reason import Reason

__all__ = ["Allowed", "Answer", "Refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The login may proceed. `ends_at` is epoch milliseconds, None for a session without an end of its own."""

    decision_id: str
    identity: str
    ends_at: int | None
    claims: Mapping[str, ClaimValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The login is refused, for `reason`."""

    decision_id: str
    reason: Reason


Answer = Allowed | Refused
