"""Who can have a role in a database, read from the rules without asking anybody's token."""

from dataclasses import dataclass

from pgbearer.config import Settings
from pgbearer.policy.ways import Place, Way, vetoed, ways

__all__ = ["WhoCan", "who_can"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoCan:
    """Whoever meets one of `ways` and none of `never`."""

    ways: tuple[Way, ...]
    never: tuple[Way, ...]


def who_can(settings: Settings, role: str, database: str) -> WhoCan:
    """The rules that lead to `role` in `database`, and those that keep from it, in the order of the file."""
    place = Place(role, database)
    found = [(rule.deny, way) for rule in settings.rules for way in ways(rule, place, settings)]
    vetoes = [way for rule in settings.rules for way in vetoed(rule, place, settings)]
    return WhoCan(
        ways=tuple(way for deny, way in found if not deny),
        never=(*(way for deny, way in found if deny), *vetoes),
    )
