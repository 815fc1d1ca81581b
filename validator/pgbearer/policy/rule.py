"""A rule as it is evaluated: every key in the form in which it is compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from pgbearer.config import Rule, Template
from pgbearer.policy.conditions import Condition
from pgbearer.policy.names import Glob
from pgbearer.wire import Replication

__all__ = ["Names", "PolicyRule"]


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
    networks: tuple[IPv4Network | IPv6Network, ...]
    conditions: Mapping[str, Condition] | None
    """By issuer, as each declares its own claims; None: the rule has no ``when``."""
    critical: bool
    """Whether the rule is of the critical tier."""
    until: Literal["sso", "token", "fixed"]
    max: int
    """Seconds."""
    privileged: bool
    replication: frozenset[Replication]
    ends: int | None
    """Epoch seconds at which the rule stops holding."""
    source: Rule
    """The rule as it was written, for people."""
