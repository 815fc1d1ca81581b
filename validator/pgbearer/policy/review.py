"""What lints look at: the settings, and every condition read once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pgbearer.config import Problem, Rule, Settings
from pgbearer.policy.conditions import ConditionError, Environment
from pgbearer.policy.source import Source, read_source

__all__ = ["Review", "finding"]


@dataclass(slots=True)
class Review:
    """Settings under review. Conditions that cannot be read are left out: they are errors of their own."""

    settings: Settings
    environments: Mapping[str, Environment]
    sources: tuple[tuple[int, Rule, Source], ...] = field(init=False)
    """Rules with a condition: index, rule, condition."""

    def __post_init__(self) -> None:
        self.sources = tuple(_sources(self.settings))


def finding(
    index: int, key: str, message: str, hint: str | None = None, severity: Literal["warning", "notice"] = "warning"
) -> Problem:
    """Something about a key of the rule at `index`."""
    return Problem(path=("rules", index, key), message=message, hint=hint, severity=severity)


def _sources(settings: Settings) -> Iterator[tuple[int, Rule, Source]]:
    for index, rule in enumerate(settings.rules):
        if rule.when is not None:
            try:
                yield index, rule, read_source(rule.when)
            except ConditionError:
                continue
