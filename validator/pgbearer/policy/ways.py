"""The ways to a role: what rules ask for, in words and without a token, to be listed and compared.

A way is one rule read as "whoever meets all of these". Nothing is evaluated: conditions and templates stay text.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product
from typing import Final

from pgbearer.config import Rule, Settings
from pgbearer.config.deciders import OnFault
from pgbearer.config.patterns import covers
from pgbearer.config.reference import duration_text
from pgbearer.policy.names import is_glob
from pgbearer.policy.told import demand_of
from pgbearer.policy.words import listed

__all__ = ["Place", "Way", "is_past", "is_pattern", "vetoed", "ways"]


IN_PERSON: Final = "in person"
"""What every allow rule demands that is not for agents; said only where something else might be thought."""
BY_AN_AGENT: Final = "through an agent"
ORDINARY: Final = "unless the role is privileged"
"""What every allow rule demands that does not mean a privileged role; too common to be said each time."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A role in a database; either may be a pattern, meaning the names that fit it and stand nowhere by themselves."""

    role: str
    database: str

    def __str__(self) -> str:
        return f"{self.role} in {self.database}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What one rule asks for; all of `demands` must be met, and none means everybody."""

    rule: str
    demands: tuple[str, ...]
    session: str
    """How long a session may last; empty for a deny rule and for a veto."""
    veto: bool = False
    """It leads nowhere: who does not meet it is refused, whatever other rules say."""

    @property
    def who(self) -> str:
        """The demands as one phrase."""
        named = any(demand.startswith("agent ") for demand in self.demands)
        unsaid = {ORDINARY, IN_PERSON, *([BY_AN_AGENT] if named else [])}
        said = ", ".join(demand for demand in self.demands if demand not in unsaid) or "everybody"
        return said if not self.session or ORDINARY in self.demands else f"{said} (also if the role is privileged)"


def is_pattern(name: str) -> bool:
    """Whether a name in a rule stands for several: a glob or a template."""
    return is_glob(name) or "{" in name


def is_past(rule: Rule, today: date | None) -> bool:
    """Whether a rule has expired by `today` (UTC) and so leads nowhere and refuses nobody; None: it has not."""
    return today is not None and rule.expires is not None and rule.expires < today


def ways(rule: Rule, place: Place, settings: Settings, *, one_by_one: bool = False) -> Iterator[Way]:
    """How `rule` leads to `place`, or for a deny rule keeps from it; nothing if it does not, or only as a fallback.

    Args:
        rule: of `settings`.
        place: the role and the database.
        settings: for the session that rules get that do not say.
        one_by_one: a way for each of several roles, groups or organizations of which any will do.
    """
    role, database = _role(rule, place.role), _database(rule, place.database)
    if role is None or database is None or rule.fallback:
        return
    session = "" if rule.deny else _session(rule, settings)
    for principal in _principals(rule, one_by_one=one_by_one):
        demands = tuple(dict.fromkeys(filter(None, [*principal, *_demands(rule, place), role, database])))
        yield Way(rule=rule.name, demands=demands, session=session)


def vetoed(rule: Rule, place: Place, settings: Settings) -> Iterator[Way]:
    """Whom a rule's deciders keep from `place` although other rules lead there; nothing unless it is a veto."""
    if rule.ask is None or not rule.ask.veto:
        return
    asked = demand_of(rule) or ""
    for way in ways(rule, place, settings):
        demands = (demand for demand in way.demands if not demand.startswith(asked) and demand != ORDINARY)
        yield Way(rule=rule.name, demands=(*demands, f"without {asked}"), session="", veto=True)


def _principals(rule: Rule, *, one_by_one: bool) -> Iterable[Sequence[str]]:
    kinds = [("token role", rule.any_role), ("group", rule.any_group), ("organization", rule.any_organization)]
    if isinstance(rule.actor, tuple):
        kinds.append(("agent", rule.actor))
    said = [(kind, names) for kind, names in kinds if names]
    if one_by_one:
        return product(*([f"{kind} {name}" for name in sorted(names)] for kind, names in said))
    return [[f"{kind} {listed(names)}" for kind, names in said]]


def _demands(rule: Rule, place: Place) -> Iterator[str]:
    if rule.all_roles:
        yield f"token roles {listed(rule.all_roles, word='and')}"
    if acting := _acting(rule):
        yield acting
    if rule.issuers:
        yield f"issuer {listed(rule.issuers)}"
    if rule.servers:
        yield f"server {listed(rule.servers)}"
    if rule.from_:
        yield f"from {listed(rule.from_)}"
    if rule.when:
        yield f"when {' '.join(rule.when.split())}"
    yield from _of_the_rule(rule)
    if not rule.deny and not (rule.privileged and place.role in rule.roles):
        yield ORDINARY


def _of_the_rule(rule: Rule) -> Iterator[str]:
    if asked := demand_of(rule):
        yield asked + _otherwise(rule)
    if rule.replication:
        yield f"a {listed(rule.replication)} replication connection"
    if rule.tier == "critical":
        yield "tier critical"
    if rule.expires:
        yield f"until {rule.expires}"


def _otherwise(rule: Rule) -> str:
    """What a rule itself says to count where that cannot be asked."""
    said = rule.ask.on_fault if rule.ask else None
    if not isinstance(said, OnFault):
        return ""
    if said.last_known is not None:
        return f" (or, while it cannot be asked, said so {duration_text(said.last_known.max_age)} ago at most)"
    return f' (or, while it cannot be asked, the rule "{said.rule}" matches)'


def _acting(rule: Rule) -> str | None:
    if rule.actor not in {None, "forbid"}:
        return BY_AN_AGENT
    return None if rule.deny else IN_PERSON


def _role(rule: Rule, role: str) -> str | None:
    """What is asked of the role, "" for nothing; None if the rule is not for it."""
    if rule.roles_from is not None and not _given(rule.roles, role):
        strip, name = rule.roles_from.strip, "ROLE" if is_pattern(role) else role
        return f'"{strip}{name}" in {rule.roles_from.claim}'
    if rule.deny and not rule.roles:
        return ""
    return _given(rule.roles, role)


def _database(rule: Rule, database: str) -> str | None:
    if "physical" in rule.replication or (rule.deny and not rule.databases):
        return ""
    return _given(rule.databases, database)


def _given(patterns: Sequence[str], name: str) -> str | None:
    if any(covers(pattern, name) for pattern in patterns if "{" not in pattern) or name in patterns:
        return ""
    for pattern in patterns:
        if "{" in pattern and covers(_any_value(pattern), name):
            return f"{pattern} is {name}"
    return None


def _any_value(template: str) -> str:
    head, _, rest = template.partition("{")
    return f"{head}*{_any_value(rest.partition('}')[2])}" if "{" in template else head


def _session(rule: Rule, settings: Settings) -> str:
    default, said = settings.defaults.session, rule.session
    until = (said and said.until) or ("token" if rule.tier == "critical" else default.until)
    longest = duration_text((said and said.max) or default.max)
    return {"token": f"with the token, at most {longest}", "fixed": f"after {longest}"}.get(
        until, f"with the sign-on session, at most {longest}"
    )
