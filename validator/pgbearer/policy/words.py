"""Each key of a rule in words: what it asks for, what the login had, and what would have to change for it to hold.

For a person who has never seen the policy. A value that came from a client is quoted as Python quotes it, so that
nothing it holds can steer a terminal.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pgbearer.config import Rule
from pgbearer.policy.fields import FIELDS, Asked
from pgbearer.policy.source import names_in
from pgbearer.policy.told import asked_by, demand_of, said_to
from pgbearer.wire import Reason, Replication

__all__ = ["WORDS", "Words", "listed", "names_at_issuer", "person"]


_ATTRIBUTES: Final = ("superuser", "replication", "createrole", "createdb", "bypassrls")


@dataclass(frozen=True, slots=True)
class Words:
    """How to speak of one key. `wants` is None if the rule says nothing about it.

    `change` says what to do so that the key holds; `undo` what to do so that it does not, for a deny rule that matches.
    """

    wants: Callable[[Rule], str | None]
    has: Callable[[Rule, Asked], str]
    change: Callable[[Rule, Asked], str]
    undo: Callable[[Rule, Asked], str] | None = None


def listed(values: Iterable[object], *, none: str = "none", word: str = "or") -> str:
    """``a, b or c``, sorted; `none` for nothing."""
    names = sorted({_shown(str(value)) for value in values})
    if not names:
        return none
    *head, last = names
    return f"{', '.join(head)} {word} {last}" if head else last


def person(asked: Asked) -> str:
    """Who this is, as people call them; the identity if the token has no name for it."""
    return _shown(asked.verified.display or asked.verified.identity)


def names_at_issuer(asked: Asked) -> str:
    """The issuer, as a place to change something at."""
    return f"issuer {asked.verified.issuer} ({_shown(asked.verified.issuer_url)})"


def _place(asked: Asked) -> str:
    return f"{_shown(asked.request.role)} in {_shown(asked.request.database)}"


def _shown(value: str) -> str:
    return value if value.isprintable() and value.strip() == value and value else repr(value)


def _at_issuer(what: Callable[[Rule, Asked], str]) -> Callable[[Rule, Asked], str]:
    """A change at the issuer, which a token shows only once it is a new one."""
    return lambda rule, asked: f"At {names_at_issuer(asked)}, {what(rule, asked)}; then log in again for a new token."


def _end_of_day(rule: Rule, asked: Asked) -> str:
    return f"it was {datetime.fromtimestamp(asked.now, UTC):%Y-%m-%d} (UTC)"


def _roles(_rule: Rule, asked: Asked) -> str:
    return f"the token's roles: {listed(asked.verified.token_roles, word='and')}"


def _groups(_rule: Rule, asked: Asked) -> str:
    return f"the token's groups: {listed(asked.verified.groups, word='and')}"


def _missing(rule: Rule, asked: Asked) -> str:
    return listed(set(rule.all_roles) - asked.verified.token_roles, word="and")


def _held(values: Iterable[str], held: frozenset[str]) -> str:
    return listed(set(values) & held, word="and")


def _address(_rule: Rule, asked: Asked) -> str:
    address = asked.request.client.address
    return f"the client is at {_shown(address)}" if address else "the client came over a Unix socket, in no network"


def _wanted_roles(rule: Rule) -> str | None:
    named = f"database role {listed(rule.roles)}" if rule.roles else None
    if rule.roles_from is None:
        return named
    claim, strip = rule.roles_from.claim, rule.roles_from.strip
    taken = f'a database role R that the token has in {claim} as "{strip}R"'
    return f"{named}, or {taken}" if named else taken


def _change_role(rule: Rule, asked: Asked) -> str:
    role = _shown(asked.request.role)
    if rule.roles_from is None:
        return f"Connect as {listed(rule.roles)}, or add {role} to `roles` of the rule."
    value = f'"{rule.roles_from.strip}{role}" to {rule.roles_from.claim}'
    return f"At {names_at_issuer(asked)}, add {value} of {person(asked)}; then log in again for a new token."


def _attributes(_rule: Rule, asked: Asked) -> str:
    attributes = asked.request.role_attributes
    held = [name for name in _ATTRIBUTES if getattr(attributes, name)] + [
        f"member of {x}" for x in attributes.member_of
    ]
    return f"the catalog says of {_shown(asked.request.role)}: {listed(held, none='nothing of the kind', word='and')}"


def _values_read(rule: Rule, asked: Asked) -> str:
    return ", ".join(f"{name} = {_value(name, asked)}" for name in names_in(rule.when or "")) or "it reads nothing"


def _value(name: str, asked: Asked) -> str:
    if name in FIELDS:
        value: Any = FIELDS[name].value(asked)
    else:
        claim = name.removeprefix("claims.")
        if claim not in asked.verified.claims:
            return "(not in the token)"
        value = asked.verified.claims[claim]
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(list(value) if isinstance(value, tuple) else value)


def _asked_for(kind: str, name: str) -> Callable[[Rule, Asked], str]:
    return lambda _rule, asked: f"asked for {kind} {_shown(getattr(asked.request, name))}"


def _connection(_rule: Rule, asked: Asked) -> str:
    kind = asked.request.replication
    return "an ordinary connection" if kind is Replication.NONE else f"a {kind} replication connection"


def _wanted_actor(rule: Rule) -> str | None:
    if isinstance(rule.actor, tuple):
        return f"the agent {listed(rule.actor)} acting for the person"
    return {"require": "some agent acting for the person", "forbid": "the person, with nobody acting"}.get(
        rule.actor or ""
    )


def _acts(_rule: Rule, asked: Asked) -> str:
    actor = asked.verified.actor
    if actor is None:
        return "nobody acts for the person"
    before = f", and before it {listed(actor.prior, word='and')}" if actor.prior else ""
    return f"the agent {_shown(actor.name)} acts for the person{before}"


def _sure(_rule: Rule, asked: Asked) -> str:
    actor = asked.verified.actor
    carries = listed(actor.carries, none="nothing", word="and") if actor else "all that they say"
    return f"the agent's tokens are sure to say {carries} of the person in full"


def _change_actor(rule: Rule, asked: Asked) -> str:
    actor = asked.verified.actor
    if actor is None:
        return "Come through such an agent, or use a rule that is for people themselves."
    own = "Log in as the person, without an agent" if rule.actor in {None, "forbid"} else "Come through such an agent"
    return f"{own}; or write a rule with `actor: [{_shown(actor.name)}]` that gives the agent what it needs."


def _undo_actor(rule: Rule, _asked: Asked) -> str:
    return "Log in as the person, without an agent." if rule.actor else "Whoever acts, the rule holds."


WORDS: Final[Mapping[str, Words]] = {
    "expires": Words(
        lambda rule: f"a day up to {rule.expires}" if rule.expires else None,
        _end_of_day,
        lambda rule, _: "Give the rule a later `expires`, or take it out.",
    ),
    "servers": Words(
        lambda rule: f"server {listed(rule.servers)}" if rule.servers else None,
        lambda _, asked: f"server {_shown(asked.server)} asked",
        lambda rule, asked: (
            f"Connect to {listed(rule.servers)}, or add {_shown(asked.server)} to `servers` of the rule."
        ),
        lambda rule, asked: f"Take {_shown(asked.server)} out of `servers` of the rule.",
    ),
    "issuers": Words(
        lambda rule: f"a token of issuer {listed(rule.issuers)}" if rule.issuers else None,
        lambda _, asked: f"the token is of issuer {asked.verified.issuer}",
        lambda rule, asked: (
            f"Log in at {listed(rule.issuers)}, or add {asked.verified.issuer} to `issuers` of the rule."
        ),
    ),
    "any_role": Words(
        lambda rule: f"the token role {listed(rule.any_role)}" if rule.any_role else None,
        _roles,
        _at_issuer(lambda rule, asked: f"give {person(asked)} the role {listed(rule.any_role)}"),
        _at_issuer(
            lambda rule, asked: f"take the role {_held(rule.any_role, asked.verified.token_roles)} from {person(asked)}"
        ),
    ),
    "all_roles": Words(
        lambda rule: f"the token roles {listed(rule.all_roles, word='and')}" if rule.all_roles else None,
        _roles,
        _at_issuer(lambda rule, asked: f"give {person(asked)} the role {_missing(rule, asked)}"),
        _at_issuer(lambda rule, asked: f"take one of the roles {listed(rule.all_roles)} from {person(asked)}"),
    ),
    "any_group": Words(
        lambda rule: f"the token group {listed(rule.any_group)}" if rule.any_group else None,
        _groups,
        _at_issuer(lambda rule, asked: f"put {person(asked)} into the group {listed(rule.any_group)}"),
        _at_issuer(
            lambda rule, asked: f"take {person(asked)} out of the group {_held(rule.any_group, asked.verified.groups)}"
        ),
    ),
    "any_organization": Words(
        lambda rule: f"the organization {listed(rule.any_organization)}" if rule.any_organization else None,
        lambda _, asked: f"the token's organizations: {listed(asked.verified.organizations, word='and')}",
        _at_issuer(lambda rule, asked: f"make {person(asked)} a member of {listed(rule.any_organization)}"),
        _at_issuer(
            lambda rule, asked: (
                f"take {person(asked)} out of {_held(rule.any_organization, asked.verified.organizations)}"
            )
        ),
    ),
    "from": Words(
        lambda rule: f"a client in {listed(rule.from_)}" if rule.from_ else None,
        _address,
        lambda rule, _: f"Connect from {listed(rule.from_)}, or add the client's network to `from` of the rule.",
        lambda rule, _: f"Connect from outside {listed(rule.from_)}.",
    ),
    "databases": Words(
        lambda rule: f"database {listed(rule.databases)}" if rule.databases else None,
        _asked_for("database", "database"),
        lambda rule, asked: (
            f"Connect to {listed(rule.databases)}, or add {_shown(asked.request.database)} to `databases` of the rule."
        ),
    ),
    "roles": Words(
        _wanted_roles,
        _asked_for("database role", "role"),
        _change_role,
    ),
    "actor": Words(_wanted_actor, _acts, _change_actor, _undo_actor),
    "replication": Words(
        lambda rule: f"a {listed(rule.replication)} replication connection" if rule.replication else None,
        _connection,
        lambda _, asked: (
            "Connect without replication."
            if asked.request.replication is not Replication.NONE
            else "Connect for replication, or use a rule without `replication`."
        ),
    ),
    "when": Words(
        lambda rule: " ".join(rule.when.split()) if rule.when else None,
        _values_read,
        lambda rule, asked: f"The condition must become true: it read {_values_read(rule, asked)}.",
        lambda rule, asked: f"The condition must become false: it read {_values_read(rule, asked)}.",
    ),
    "privileged": Words(
        lambda rule: "a privileged role, named exactly" if rule.privileged else None,
        _attributes,
        lambda _, asked: (
            f"Connect as an ordinary role; or, if {_shown(asked.request.role)} is meant, name it exactly in a rule "
            "that says `privileged: true`."
        ),
    ),
    "carries": Words(lambda _: None, _sure, lambda _rule, _asked: Reason.AGENT_SAYS_TOO_LITTLE.remedy),
    "ask": Words(
        demand_of,
        lambda rule, asked: said_to(rule, asked) or "nobody was asked",
        lambda rule, asked: (
            f"Have {_place(asked)} allowed to {person(asked)} at {asked_by(rule)}; now: {said_to(rule, asked)}."
        ),
    ),
    "fallback": Words(
        lambda rule: "a decider that cannot be asked, and a rule that names this one for it" if rule.fallback else None,
        lambda _, asked: "; ".join(f"{name}: {said}" for name, said in asked.advice.items()) or "none was asked",
        lambda rule, _: "Take `fallback` out of the rule, so that it counts by itself.",
    ),
}
"""By key, as in `pgbearer.policy.match.KEYS`, and then what others are asked."""
