"""A rule as it is evaluated: every key in the form in which it is compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from pgbearer.config import Rule, Template
from pgbearer.policy.conditions import Condition
from pgbearer.policy.names import Glob
from pgbearer.wire import Replication

__all__ = ["Actors", "AskTerms", "FaultTerms", "Names", "PolicyRule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Databases or roles that a rule speaks of. `everything` is what a deny rule means by saying nothing."""

    exact: frozenset[str] = frozenset()
    globs: tuple[Glob, ...] = ()
    templates: tuple[Template, ...] = ()
    everything: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """What the rule is found by: exact names, and ``prefix*`` for names known only by their beginning."""
        if self.everything or self.templates:
            return ("*",)
        return (*self.exact, *(f"{glob.prefix}*" for glob in self.globs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Actors:
    """Who may act for the person so that a rule holds."""

    nobody: bool
    """It holds for people themselves."""
    agents: frozenset[str] | None
    """It holds for these agents acting for them; None: for any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultTerms:
    """What counts where a decider cannot be asked; one of the two."""

    max_age: int | None = None
    """Its last yes to the same question, if not older than these seconds."""
    rule: str | None = None
    """That the fallback of this name matches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTerms:
    """Whom a rule asks, and what follows."""

    deciders: tuple[str, ...]
    every: bool
    """Whether all must say yes, or any."""
    veto: bool
    """Whether a no refuses the login."""
    on_fault: Mapping[str, FaultTerms]
    """By decider; one that is not in it counts for nothing when it cannot be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """One compiled rule; the keys are those of `pgbearer.config.Rule`, an empty set meaning "not said"."""

    index: int
    """Its place in the file, from 0."""
    name: str
    deny: bool
    servers: frozenset[str]
    issuers: frozenset[str]
    databases: Names
    roles: Names
    roles_from: str | None
    strip: str
    any_role: frozenset[str]
    all_roles: frozenset[str]
    any_group: frozenset[str]
    any_organization: frozenset[str]
    actors: Actors
    networks: tuple[IPv4Network | IPv6Network, ...]
    conditions: Mapping[str, Condition] | None
    """By issuer, as each declares its own claims; None: the rule has no ``when``."""
    asks: frozenset[str]
    """What ``when`` of a deny rule reads of the person: `pgbearer.policy.acting` names it."""
    critical: bool
    """Whether the rule is of the critical tier."""
    until: Literal["sso", "token", "fixed"]
    max: int
    """Seconds."""
    ends_with_token: frozenset[str] = frozenset()
    """Issuers whose sessions end with the token, whatever `until` is: that is the default, which is for people."""
    privileged: bool
    replication: frozenset[Replication]
    ends: int | None
    """Epoch seconds at which the rule stops holding."""
    ask: AskTerms | None = None
    fallback: bool = False
    """Whether it counts only where an ``on_fault`` names it."""
    source: Rule
    """The rule as it was written, for people."""
