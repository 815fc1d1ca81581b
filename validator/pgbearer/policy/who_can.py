"""Who can have a role in a database, read from the rules without asking anybody's token."""

from dataclasses import dataclass
from datetime import date

from pgbearer.config import Settings
from pgbearer.policy.ways import Place, Way, is_past, vetoed, ways

__all__ = ["WhoCan", "who_can"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoCan:
    """Whoever meets one of `ways` and none of `never`."""

    ways: tuple[Way, ...]
    never: tuple[Way, ...]
    past: tuple[Way, ...] = ()
    """By rules that have expired: they let nobody in, and those without a session keep nobody out any more."""


def who_can(settings: Settings, role: str, database: str, *, today: date | None = None) -> WhoCan:
    """The rules that lead to `role` in `database`, and those that keep from it, in the order of the file.

    Args:
        settings: with the rules.
        role: a database role.
        database: a database.
        today: the day (UTC) by which rules have expired; None: none has.
    """
    place = Place(role, database)
    live = [rule for rule in settings.rules if not is_past(rule, today)]
    found = [(rule.deny, way) for rule in live for way in ways(rule, place, settings)]
    vetoes = [way for rule in live for way in vetoed(rule, place, settings)]
    past = [way for rule in settings.rules if is_past(rule, today) for way in ways(rule, place, settings)]
    return WhoCan(
        ways=tuple(way for deny, way in found if not deny),
        never=(*(way for deny, way in found if deny), *vetoes),
        past=tuple(past),
    )
