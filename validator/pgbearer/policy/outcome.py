"""What a decision is: allow or deny, and which rules were looked at on the way."""

from collections.abc import Mapping
from dataclasses import dataclass

from pgbearer.verified import ClaimValue
from pgbearer.wire import Reason

__all__ = ["Allow", "Considered", "Deny", "Outcome"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """One rule that was looked at, for ``explain``.

    `unmet` is the first key of the rule that did not hold (None: the rule matches), `error` why that key could not be
    judged, if it could not. `detail` says more; it is safe to log.
    """

    rule: str
    deny: bool
    unmet: str | None = None
    error: Reason | None = None
    detail: str | None = None

    @property
    def matched(self) -> bool:
        """True if everything the rule says holds."""
        return self.unmet is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """The login may proceed."""

    identity: str
    rules: tuple[str, ...]
    """Names of the allow rules that match, sorted."""
    ends_at: int
    """When the session ends, epoch seconds."""
    claims: Mapping[str, ClaimValue]
    """What SQL may see: what every matching rule lets through."""
    critical: bool = False
    """Whether the critical tier was asked for, by any of the rules, and met."""
    considered: tuple[Considered, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """The login is refused. `rule` is the rule that says so, if one does; `detail` is safe to log."""

    reason: Reason
    rule: str | None
    detail: str
    considered: tuple[Considered, ...]


Outcome = Allow | Deny
