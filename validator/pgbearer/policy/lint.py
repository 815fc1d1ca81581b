"""Rules that are allowed but probably not meant: each habit is a small function, each finding has a severity.

A warning is something to mend, a notice something to know of. What a rule can reach is looked at in
`pgbearer.policy.reach`, what it hangs on in `pgbearer.policy.trust`; here is the list, and what a rule says by itself.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pgbearer.config import Problem, Settings
from pgbearer.policy.agent_lint import (
    agent_gets_as_much_as_its_person,
    agent_is_refused_for_what_it_does_not_say,
)
from pgbearer.policy.conditions import ConditionError, Environment
from pgbearer.policy.names import is_glob
from pgbearer.policy.reach import never_reached, same_twice, shadowed
from pgbearer.policy.review import Review, finding
from pgbearer.policy.trust import (
    group_is_no_path,
    group_prefix_is_open,
    hangs_on_what_people_can_edit,
    text_is_sought_anywhere,
    trusts_the_unverified,
)

__all__ = ["LINTS", "lint"]


def lint(settings: Settings, environments: Mapping[str, Environment]) -> Iterator[Problem]:
    """Warnings and notices about rules; paths as in the settings."""
    review = Review(settings, environments)
    for check in LINTS:
        yield from check(review)


def pattern_floats(review: Review) -> Iterator[Problem]:
    """``matches()`` finds its pattern anywhere in the text, which is seldom meant."""
    environment = next(iter(review.environments.values()))
    for index, _, source in review.sources:
        for literal in source.patterns:
            try:
                pattern = environment.pattern(literal)
            except ConditionError:
                continue  # an error of the condition itself
            if not _is_anchored(pattern):
                yield finding(index, "when", f"{literal} matches anywhere in the text", 'write it as "^(...)$"')


def privilege_is_unreachable(review: Review) -> Iterator[Problem]:
    """``privileged`` lifts exact names only."""
    for index, rule in enumerate(review.settings.rules):
        if rule.privileged and not any(not is_glob(name) and "{" not in name for name in rule.roles):
            yield finding(index, "privileged", "has no effect: the rule names no role exactly")


def gives_privilege(review: Review) -> Iterator[Problem]:
    """Where privileged roles are given should be known."""
    for index, rule in enumerate(review.settings.rules):
        names = [name for name in rule.roles if not is_glob(name) and "{" not in name]
        if rule.privileged and names:
            yield finding(index, "privileged", f"may give privileged roles: {', '.join(names)}", severity="notice")


def critical_outlasts_its_token(review: Review) -> Iterator[Problem]:
    """A critical session that goes on without its token is not asked for anything again."""
    for index, rule in enumerate(review.settings.rules):
        if rule.tier == "critical" and rule.session is not None and rule.session.until in {"sso", "fixed"}:
            yield finding(index, "session", "a critical session goes on after its token has expired", "until: token")


LINTS: Final[tuple[Callable[[Review], Iterator[Problem]], ...]] = (
    same_twice,
    shadowed,
    never_reached,
    trusts_the_unverified,
    hangs_on_what_people_can_edit,
    pattern_floats,
    text_is_sought_anywhere,
    group_is_no_path,
    group_prefix_is_open,
    privilege_is_unreachable,
    gives_privilege,
    critical_outlasts_its_token,
    agent_gets_as_much_as_its_person,
    agent_is_refused_for_what_it_does_not_say,
)


def _is_anchored(pattern: str) -> bool:
    ends = pattern.startswith(("^", r"\A")) and pattern.endswith(("$", r"\z"))
    if not ends or "|" not in pattern:
        return ends
    inside = pattern[1:-1]
    return inside.startswith("(") and inside.endswith(")") and not set(inside[1:-1]) & set("()")
