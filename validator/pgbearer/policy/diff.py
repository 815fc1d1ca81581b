"""Two policies compared: who gains and who loses, by the rules themselves and by decisions that were really made."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import product
from typing import Any, Final, Literal

from pgbearer.config import Rule, Settings
from pgbearer.config.reference import duration_text
from pgbearer.policy.evaluate import Policy
from pgbearer.policy.fields import Asked
from pgbearer.policy.outcome import Allow
from pgbearer.policy.recorded import RecordError, decide_again, question_of
from pgbearer.policy.ways import Place, Way, is_past, ways

__all__ = ["Change", "Kind", "Replayed", "Shift", "compare", "elsewhere", "expired", "replay"]

Kind = Literal["gains", "loses", "session", "refused", "no longer refused"]
_ORDER: Final[tuple[Kind, ...]] = ("gains", "loses", "refused", "no longer refused", "session")
_FOR_PEOPLE: Final = frozenset({"name", "ticket"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between two policies."""

    kind: Kind
    """`gains` and `loses`: a way to a role. `session`: the same way, another end. `refused` and `no longer refused`:
    deny rules."""
    who: str
    places: tuple[Place, ...]
    why: str


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two files, with the rules that the other does not have."""

    settings: Settings
    changed: tuple[Rule, ...]
    same: tuple[Rule, ...]

    def ways_to(self, place: Place, *, deny: bool, named: bool = False) -> dict[tuple[str, ...], Way]:
        """What the changed rules give at `place`; with `named` only those that name it, not by a wider pattern."""
        rules = [rule for rule in self.changed if not named or place in _named(rule)]
        return _ways(rules, place, self.settings, deny=deny)


def compare(old: Settings, new: Settings, *, today: date | None = None) -> tuple[Change, ...]:
    """Who gains and who loses which role in which database, and by which rule.

    Rules are compared as text: a condition that is written otherwise is another one. A rule that is only renamed, moved
    or split changes nothing. A rule that has expired by `today` (UTC) gives and refuses nothing; None: none has.
    """
    before, after = _sides(old, new, today)
    found: dict[tuple[Kind, str, str], set[Place]] = {}
    for place in _places(before, after):
        for kind, way in _differences(before, after, place):
            why = _why(way.rule, before.settings, after.settings)
            who = f"{way.who}: {way.session}" if kind == "session" else way.who
            found.setdefault((kind, who, why), set()).add(place)
    changes = [
        Change(kind=kind, who=who, places=tuple(sorted(places)), why=why) for (kind, who, why), places in found.items()
    ]
    return tuple(sorted(changes, key=lambda change: (_ORDER.index(change.kind), change.why, change.who)))


def elsewhere(old: Settings, new: Settings) -> tuple[str, ...]:
    """What differs outside of the rules and can change who gets in, a line for each key."""
    before, after = (
        {
            (section, name, key): value
            for section in ("issuers", "servers", "deciders")
            for name, one in getattr(file, section).items()
            for key, value in one.model_dump(mode="json").items()
        }
        for file in (old, new)
    )
    return tuple(
        f"{'.'.join(key)}: {_said(before.get(key))} -> {_said(after.get(key))}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    )


def expired(old: Settings, new: Settings, today: date) -> tuple[str, ...]:
    """The rules of either file that have expired by `today` (UTC), a line for each: `compare` leaves them out."""
    lines = (
        f'the rule "{rule.name}" of the {which} file expired on {rule.expires}'
        for which, settings in (("old", old), ("new", new))
        for rule in settings.rules
        if is_past(rule, today)
    )
    return tuple(lines)


def _sides(old: Settings, new: Settings, today: date | None) -> tuple[_Side, _Side]:
    meant_before = {_meaning(rule, old) for rule in old.rules}
    meant_after = {_meaning(rule, new) for rule in new.rules}
    return _side(old, meant_after, today), _side(new, meant_before, today)


def _side(settings: Settings, others: set[str], today: date | None) -> _Side:
    live = [rule for rule in settings.rules if not is_past(rule, today)]
    same = [rule for rule in live if _meaning(rule, settings) in others]
    changed = [rule for rule in live if _meaning(rule, settings) not in others]
    return _Side(settings, tuple(changed), tuple(same))


def _meaning(rule: Rule, settings: Settings) -> str:
    """What decides in a rule, as text; a rule that names no session of its own means that of the file."""
    said = rule.model_dump_json(exclude=set(_FOR_PEOPLE))
    return said if rule.deny else f"{said} {settings.defaults.session.model_dump_json()}"


def _places(before: _Side, after: _Side) -> Iterator[Place]:
    """Where something may have changed: what changed rules name, and what any rule names within their patterns."""
    changed = (*before.changed, *after.changed)
    named = dict.fromkeys(place for rule in (*changed, *before.same, *after.same) for place in _named(rule))
    for place in named:
        if any(next(ways(rule, place, after.settings), None) for rule in changed):
            yield place


def _named(rule: Rule) -> Iterator[Place]:
    roles = rule.roles or ("*",)
    if rule.roles_from is not None:
        roles = (*rule.roles, "*")
    for role, database in product(roles, rule.databases or ("*",)):
        yield Place(role, database)


def _differences(before: _Side, after: _Side, place: Place) -> Iterator[tuple[Kind, Way]]:
    for deny, kinds in ((False, _GIVEN), (True, _REFUSED)):
        for kind, here, there in zip(kinds, (after, before), (before, after), strict=True):
            others = {**_ways(there.same, place, there.settings, deny=deny), **there.ways_to(place, deny=deny)}
            for demands, way in here.ways_to(place, deny=deny, named=deny).items():
                if not any(set(other) <= set(demands) for other in others):
                    yield kind, way
    old, new = before.ways_to(place, deny=False), after.ways_to(place, deny=False)
    for demands in old.keys() & new.keys():
        if old[demands].session != new[demands].session:
            yield "session", new[demands]


_GIVEN: Final[tuple[Kind, Kind]] = ("gains", "loses")
_REFUSED: Final[tuple[Kind, Kind]] = ("refused", "no longer refused")


def _ways(rules: Iterable[Rule], place: Place, settings: Settings, *, deny: bool) -> dict[tuple[str, ...], Way]:
    """By what they ask for."""
    return {
        tuple(sorted(way.demands)): way
        for rule in rules
        if rule.deny is deny
        for way in ways(rule, place, settings, one_by_one=True)
    }


def _why(name: str, old: Settings, new: Settings) -> str:
    """What became of the rule of this name."""
    before, after = (next((rule for rule in file.rules if rule.name == name), None) for file in (old, new))
    if before is None:
        return f'the rule "{name}" is new'
    if after is None:
        return f'the rule "{name}" is gone'
    said_before, said_after = (
        before.model_dump(mode="json", by_alias=True),
        after.model_dump(mode="json", by_alias=True),
    )
    changed = [
        f"{key} {_said(said_before[key])} -> {_said(said_after[key])}"
        for key in said_after
        if said_before[key] != said_after[key]
    ]
    return f'the rule "{name}" has changed: {"; ".join(changed) or "defaults.session"}'


def _said(value: Any) -> str:
    if value in (None, [], {}):
        return "(nothing)"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_said(one)}" for key, one in value.items())
    return str(value)


@dataclass(slots=True, kw_only=True)
class Shift:
    """Logins of one kind that the other policy would decide otherwise."""

    identity: str
    display: str | None
    place: Place
    before: str
    after: str
    why: str
    """The rules that decide, then and now, in the last of them."""
    count: int
    last: str
    """When the last of them was, and `decision_id` which."""
    decision_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What recorded decisions come to under two policies."""

    asked: int
    passed_over: int
    """Decisions that no policy made: their token was refused, or the record does not say enough."""
    shifts: tuple[Shift, ...]
    """The most frequent first."""


def replay(old: Policy, new: Policy, entries: Iterable[Mapping[str, Any]]) -> Replayed:
    """Ask both policies about recorded decisions, each at its own moment.

    Args:
        old: the one policy.
        new: the other.
        entries: decisions as audit lines have them, oldest first.
    """
    asked = passed_over = 0
    shifts: dict[tuple[str, ...], Shift] = {}
    for entry in entries:
        try:
            question = question_of(entry)
        except RecordError:
            passed_over += 1
            continue
        asked += 1
        shift = _shift(_verdict(old, question), _verdict(new, question), question, entry)
        if shift is not None:
            key = (shift.identity, shift.place.role, shift.place.database, shift.before, shift.after)
            shift.count += shifts[key].count if key in shifts else 0
            shifts[key] = shift
    ordered = sorted(shifts.values(), key=lambda shift: (-shift.count, shift.identity, shift.place))
    return Replayed(asked=asked, passed_over=passed_over, shifts=tuple(ordered))


_Verdict = tuple[str, str]
"""What is decided, and by which rules."""


def _shift(before: _Verdict, after: _Verdict, asked: Asked, entry: Mapping[str, Any]) -> Shift | None:
    if before[0] == after[0]:
        return None  # by another rule perhaps, but the same
    return Shift(
        identity=asked.verified.identity,
        display=asked.verified.display,
        place=Place(asked.request.role, asked.request.database),
        before=before[0],
        after=after[0],
        why=f"{before[1] or 'no rule'} -> {after[1] or 'no rule'}",
        count=1,
        last=str(entry["time"]),
        decision_id=str(entry.get("decision_id")),
    )


def _verdict(policy: Policy, asked: Asked) -> _Verdict:
    try:
        outcome = decide_again(policy, asked)
    except RecordError as error:
        return f"deny ({error})", ""
    if isinstance(outcome, Allow):
        by_token = outcome.ends_at == asked.verified.expires_at
        end = "until the token ends" if by_token else f"for {duration_text(outcome.ends_at - asked.now)}"
        return f"allow {end}", ", ".join(outcome.rules)
    return f"deny {outcome.reason.value}", outcome.rule or ""
