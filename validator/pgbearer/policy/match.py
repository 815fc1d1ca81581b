"""Whether one rule matches: every key of a rule is a small function, and `KEYS` is the order they are asked in.

First who and where (so that "matches, but for another role" can be told), then what; the costly and privileged last.
"""

import ipaddress
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from pgbearer.policy.acting import holds_for_actor, left_out
from pgbearer.policy.conditions import ConditionError, Environment, Facts
from pgbearer.policy.fields import Asked
from pgbearer.policy.names import expressible
from pgbearer.policy.outcome import Considered
from pgbearer.policy.rule import Names, PolicyRule
from pgbearer.wire import Reason, Replication

__all__ = ["AN_AGENT", "KEYS", "Judged", "Question", "consider", "examine", "gives_a_role", "roles_from_token"]

AN_AGENT: Final = "an agent"
"""A principal beside roles and groups: deny rules are found by it too, for an agent's token may not say them."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(slots=True)
class Question:
    """One login as rules are asked about it. Holds what is worked out once and used by many rules."""

    asked: Asked
    environments: Mapping[str, Environment]
    principals: frozenset[str | None] = field(init=False)
    """The token's roles and groups as `pgbearer.policy.index` files rules by them."""
    _facts: Facts | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        verified = self.asked.verified
        roles = (f"role {role}" for role in verified.token_roles)
        groups = (f"group {group}" for group in verified.groups)
        organizations = (f"organization {organization}" for organization in verified.organizations)
        agent = () if verified.actor is None else (AN_AGENT,)
        self.principals = frozenset((None, *agent, *roles, *groups, *organizations))

    @property
    def facts(self) -> Facts:
        """The values for conditions, made when the first condition is met."""
        if self._facts is None:
            self._facts = self.environments[self.asked.verified.issuer].facts(self.asked)
        return self._facts


class _UnjudgeableError(Exception):
    """A key that can be found neither to hold nor not to."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def consider(rule: PolicyRule, question: Question) -> Considered:
    """Ask a rule's keys in turn until one does not hold.

    One that cannot be judged counts only if no other says that the rule does not match: else it would hang on which
    keys happened to be asked before (`pgbearer.policy.index` asks for databases and roles first, and not always both).
    """
    doubt: Considered | None = None
    for key, holds in KEYS:
        try:
            if not holds(rule, question):
                return Considered(rule=rule.name, deny=rule.deny, unmet=key)
        except _UnjudgeableError as error:
            doubt = doubt or Considered(
                rule=rule.name, deny=rule.deny, unmet=key, error=error.reason, detail=error.detail
            )
    return doubt or Considered(rule=rule.name, deny=rule.deny)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one key of a rule comes to: `holds` is None if it cannot be judged, and `why` then says why not."""

    key: str
    holds: bool | None
    why: str | None = None


def examine(rule: PolicyRule, question: Question) -> tuple[Judged, ...]:
    """Ask every key of a rule, also those after the first that does not hold; for explaining, not for deciding."""
    judged = []
    for key, holds in KEYS:
        try:
            judged.append(Judged(key=key, holds=holds(rule, question)))
        except _UnjudgeableError as error:
            judged.append(Judged(key=key, holds=None, why=error.detail))
    return tuple(judged)


def not_expired(rule: PolicyRule, question: Question) -> bool:
    """``expires``: the rule holds to the end of that day, UTC."""
    return rule.ends is None or question.asked.now < rule.ends


def for_server(rule: PolicyRule, question: Question) -> bool:
    """``servers``: by the name that the peer of the connection has."""
    return not rule.servers or question.asked.server in rule.servers


def for_issuer(rule: PolicyRule, question: Question) -> bool:
    """``issuers``: by the issuer that verified the token."""
    return not rule.issuers or question.asked.verified.issuer in rule.issuers


def has_any_role(rule: PolicyRule, question: Question) -> bool:
    """``any_role``."""
    held = question.asked.verified.token_roles
    return not rule.any_role or not rule.any_role.isdisjoint(held) or _may_hold(rule, question, "token_roles")


def has_all_roles(rule: PolicyRule, question: Question) -> bool:
    """``all_roles``."""
    return rule.all_roles <= question.asked.verified.token_roles or _may_hold(rule, question, "token_roles")


def has_any_group(rule: PolicyRule, question: Question) -> bool:
    """``any_group``."""
    held = question.asked.verified.groups
    return not rule.any_group or not rule.any_group.isdisjoint(held) or _may_hold(rule, question, "groups")


def has_any_organization(rule: PolicyRule, question: Question) -> bool:
    """``any_organization``."""
    asked, held = rule.any_organization, question.asked.verified.organizations
    return not asked or not asked.isdisjoint(held) or _may_hold(rule, question, "organizations")


def comes_from(rule: PolicyRule, question: Question) -> bool:
    """``from``: a Unix socket is in no network; an IPv4 address mapped into IPv6 is the IPv4 address."""
    if not rule.networks:
        return True
    text = question.asked.request.client.address
    if text is None:
        return False
    address = _address(text)
    return any(address in network for network in rule.networks)


def for_database(rule: PolicyRule, question: Question) -> bool:
    """``databases``. Physical replication is connected to none and reads all: nothing to compare."""
    if question.asked.request.replication is Replication.PHYSICAL:
        return True
    return _named(rule.databases, question.asked.request.database, question)


def for_role(rule: PolicyRule, question: Question) -> bool:
    """``roles`` or ``roles_from``."""
    return _gives(rule, question) or (rule.roles_from is not None and _may_hold(rule, question, rule.roles_from))


def for_actor(rule: PolicyRule, question: Question) -> bool:
    """``actor``: an allow rule that does not say it is for people themselves, a deny rule for whoever acts."""
    return holds_for_actor(rule.actors, question.asked.verified.actor)


def for_replication(rule: PolicyRule, question: Question) -> bool:
    """``replication``: an allow rule that does not say it is for ordinary connections only, a deny rule for all."""
    kind = question.asked.request.replication
    if rule.deny:
        return not rule.replication or kind in rule.replication
    return kind in rule.replication or (kind is Replication.NONE and not rule.replication)


def condition_holds(rule: PolicyRule, question: Question) -> bool:
    """``when``."""
    if rule.conditions is None:
        return True
    issuer = question.asked.verified.issuer
    if issuer not in rule.conditions:
        raise _UnjudgeableError(Reason.POLICY_ERROR, f"the condition is not compiled for issuer {issuer!r}")
    try:
        holds = rule.conditions[issuer].holds(question.facts)
    except ConditionError as error:
        raise _UnjudgeableError(Reason.POLICY_ERROR, str(error)) from None
    if not holds and (unsaid := {name for name in rule.asks if _may_hold(rule, question, name)}):
        raise _too_little(unsaid, question)
    return holds


def gives_a_role(rule: PolicyRule, question: Question) -> bool:
    """Whether the rule gives this token any role at all: one with ``roles_from`` may find none in it."""
    return rule.roles != Names() or bool(roles_from_token(rule, question))


def roles_from_token(rule: PolicyRule, question: Question) -> list[str]:
    """The roles that ``roles_from`` finds in the token, sorted; also those that cannot be names."""
    values = _token_values(rule, question)
    return sorted(value[len(rule.strip) :] for value in values if value.startswith(rule.strip) and value != rule.strip)


def privilege_is_meant(rule: PolicyRule, question: Question) -> bool:
    """``privileged``: an allow rule gives a privileged role only if it says so and names that role exactly."""
    request = question.asked.request
    return rule.deny or not request.role_attributes.privileged or (rule.privileged and request.role in rule.roles.exact)


def nothing_is_left_out(rule: PolicyRule, question: Question) -> bool:
    """A deny rule that holds but for what an agent's token may have left out might hold: it cannot be judged."""
    actor = question.asked.verified.actor
    if not rule.deny or actor is None:
        return True
    unsaid = set(left_out(rule, question.asked.verified))
    if rule.roles_from is not None and rule.roles_from not in actor.carries and not _gives(rule, question):
        unsaid.add(rule.roles_from)
    if unsaid:
        raise _too_little(unsaid, question)
    return True


KEYS: Final[tuple[tuple[str, Callable[[PolicyRule, Question], bool]], ...]] = (
    ("expires", not_expired),
    ("servers", for_server),
    ("issuers", for_issuer),
    ("any_role", has_any_role),
    ("all_roles", has_all_roles),
    ("any_group", has_any_group),
    ("any_organization", has_any_organization),
    ("from", comes_from),
    ("databases", for_database),
    ("roles", for_role),
    ("actor", for_actor),
    ("replication", for_replication),
    ("when", condition_holds),
    ("privileged", privilege_is_meant),
    ("carries", nothing_is_left_out),
)


def _may_hold(rule: PolicyRule, question: Question, what: str) -> bool:
    """Whether a deny rule may be about the person although their agent's token does not say so."""
    actor = question.asked.verified.actor
    return rule.deny and actor is not None and what not in actor.carries


def _too_little(unsaid: Collection[str], question: Question) -> _UnjudgeableError:
    actor = question.asked.verified.actor
    name = actor.name if actor else ""
    detail = f"the tokens of the agent {name!r} need not say all {' and '.join(sorted(unsaid))} of the person"
    return _UnjudgeableError(Reason.AGENT_SAYS_TOO_LITTLE, detail)


def _gives(rule: PolicyRule, question: Question) -> bool:
    role = question.asked.request.role
    return _named(rule.roles, role, question) or _from_token(rule, role, question)


def _address(text: str) -> Address:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise _UnjudgeableError(Reason.POLICY_ERROR, "the client's address is not a numeric one") from None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _named(names: Names, name: str, question: Question) -> bool:
    """Whether `name` is among `names`, byte for byte: no folding of case, no Unicode normalisation."""
    if names.everything or name in names.exact or any(glob.matches(name) for glob in names.globs):
        return True
    failed: _UnjudgeableError | None = None
    for template in names.templates:
        try:
            if template.render(lambda key: _substitute(key, question)) == name:
                return True
        except _UnjudgeableError as error:
            failed = error
    if failed:
        raise failed
    return False


def _substitute(key: str, question: Question) -> str:
    verified = question.asked.verified
    value = {"sub": verified.subject, "client": verified.client}.get(key) or verified.claims.get(key)
    if not isinstance(value, str):
        raise _UnjudgeableError(Reason.POLICY_ERROR, f"the token has no {key!r} for the template")
    if not expressible(value):
        raise _UnjudgeableError(Reason.NAME_NOT_EXPRESSIBLE, f"the token's {key!r} cannot be part of a name")
    return value


def _from_token(rule: PolicyRule, role: str, question: Question) -> bool:
    """Whether the token itself names the role. Only the requested name matters: others may be inexpressible."""
    if rule.strip + role not in _token_values(rule, question):
        return False
    if not expressible(role):
        raise _UnjudgeableError(Reason.NAME_NOT_EXPRESSIBLE, f"{rule.roles_from!r} names a role that cannot be a name")
    return True


def _token_values(rule: PolicyRule, question: Question) -> Collection[str]:
    """What the token says under ``roles_from.claim``; empty if it lacks that claim."""
    verified = question.asked.verified
    if rule.roles_from is None:
        return ()
    if rule.roles_from == "token_roles":
        return verified.token_roles
    if rule.roles_from == "groups":
        return verified.groups
    if rule.roles_from == "organizations":
        return verified.organizations
    value = verified.claims.get(rule.roles_from, ())
    if isinstance(value, str):
        return (value,)
    return value if isinstance(value, tuple) else ()
