"""What issuers may have to do with one another: one opened behind another's HBA lines, one taking another's place.

Checks over decoded settings, as in `pgbearer.config.checks`, which lists them.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from pgbearer.config.patterns import within
from pgbearer.config.problems import KeyPath, Problem, did_you_mean
from pgbearer.config.settings import Settings
from pgbearer.config.template import Template, TemplateError, parse_template

__all__ = [
    "SCOPELESS",
    "may_share_identities",
    "moves_are_whole",
    "openings_are_exact",
    "openings_are_used",
    "rules_follow_a_move",
    "scopes_are_implied_for_workloads",
]

SCOPELESS: Final = frozenset({"kubernetes", "spiffe", "github-actions", "entra"})
"""Profiles whose tokens, or some of them, have no scopes."""

_MOST_NAME: Final = 63
"""Bytes of a name in PostgreSQL (NAMEDATALEN - 1)."""


def openings_are_exact(settings: Settings) -> Iterator[Problem]:
    """An issuer is opened behind another that is there, to databases by their exact names, each once."""
    for name, issuer in settings.issuers.items():
        for other, databases in issuer.behind.items():
            path: KeyPath = ("issuers", name, "behind", other)
            if other == name:
                yield Problem(path=path, message="an issuer's own HBA lines need no opening")
            elif other not in settings.issuers:
                hint = did_you_mean(other, tuple(settings.issuers))
                yield Problem(path=path, message=f'no "{other}" under issuers', hint=hint)
            counted = Counter(databases)
            for index, database in enumerate(databases):
                at = (*path, index)
                if why := _inexact(database):
                    yield Problem(path=at, message=why)
                elif counted[database] > 1 and databases.index(database) != index:
                    yield Problem(path=at, message=f'"{database}" is there twice')


def openings_are_used(settings: Settings) -> Iterator[Problem]:
    """An opening lets nobody in by itself; one without a rule is a mistake, or left over."""
    for name, issuer in settings.issuers.items():
        allowing = [rule for rule in settings.rules if not rule.deny and (not rule.issuers or name in rule.issuers)]
        for other, databases in issuer.behind.items():
            for index, database in enumerate(databases):
                if not (_inexact(database) or any(_meets(database, rule.databases) for rule in allowing)):
                    yield Problem(
                        path=("issuers", name, "behind", other, index),
                        message=f'no rule lets tokens of issuer "{name}" into the database "{database}"',
                        hint="write one, or remove the opening",
                        severity="warning",
                        of_all_rules=True,
                    )


def scopes_are_implied_for_workloads(settings: Settings) -> Iterator[Problem]:
    """Where tokens say their scopes, what they do not say was not granted."""
    for name, issuer in settings.issuers.items():
        if issuer.implied_scopes and issuer.profile not in SCOPELESS:
            yield Problem(
                path=("issuers", name, "implied_scopes"),
                message=f"tokens of profile {issuer.profile} say their scopes themselves",
                hint="ask for the scope when logging in, or take it out of pg_hba.conf",
            )


def moves_are_whole(settings: Settings) -> Iterator[Problem]:
    """A move goes from an issuer that is there, to one other, up to a day, and not in a circle."""
    taken: dict[str, str] = {}
    for name, issuer in settings.issuers.items():
        path: KeyPath = ("issuers", name, "replaces")
        old = issuer.replaces
        if old is None:
            if issuer.until is not None:
                yield Problem(path=("issuers", name, "until"), message="means nothing without `replaces`")
            continue
        if issuer.until is None:
            yield Problem(path=path, message="needs `until`: the last day for tokens of the issuer that is replaced")
        if old not in settings.issuers:
            yield Problem(
                path=path, message=f'no "{old}" under issuers', hint=did_you_mean(old, tuple(settings.issuers))
            )
        elif name in _line_of(settings, old):
            yield Problem(path=path, message="goes in a circle")
        elif old in taken:
            yield Problem(path=path, message=f'"{taken[old]}" replaces "{old}" already')
        else:
            taken[old] = name


def rules_follow_a_move(settings: Settings) -> Iterator[Problem]:
    """A rule that names the old issuer alone no longer meets who comes by the new one."""
    for index, rule in enumerate(settings.rules):
        for name, issuer in settings.issuers.items():
            if issuer.replaces in rule.issuers and name not in rule.issuers:
                lost = "is escaped" if rule.deny else "is lost"
                yield Problem(
                    path=("rules", index, "issuers"),
                    message=f'{lost} by whoever moves from issuer "{issuer.replaces}" to "{name}"',
                    hint=f'add "{name}"',
                    severity="warning",
                )


def may_share_identities(settings: Settings, name: str, other: str) -> bool:
    """Whether two issuers may yield the same identities: one takes the other's place, and both say only ``{sub}``.

    That a subject means the same person in both is the word of whoever wrote `replaces`; that two people cannot be
    taken for one by accident is seen to at each login (`pgbearer.tokens.neighbours`): the subject must be a UUID.
    """
    one, two = settings.issuers[name], settings.issuers[other]
    if one.identity != two.identity or not _line_of(settings, name) & _line_of(settings, other):
        return False
    template = _template(one.identity)
    return template is not None and template.fields == ("sub",)


def _line_of(settings: Settings, name: str) -> frozenset[str]:
    """An issuer and all that it replaces, one after the other."""
    line: set[str] = set()
    here: str | None = name
    while here is not None and here not in line and here in settings.issuers:
        line.add(here)
        here = settings.issuers[here].replaces
    return frozenset(line)


def _template(text: str) -> Template | None:
    try:
        return parse_template(text)
    except TemplateError:
        return None


def _inexact(database: str) -> str | None:
    """Why this can be no database's exact name."""
    if set(database) & set("*?{}"):
        return "must be an exact name"
    if len(database.encode()) > _MOST_NAME:
        return f"longer than the {_MOST_NAME} bytes that a name in PostgreSQL has"
    return None


def _meets(database: str, patterns: tuple[str, ...]) -> bool:
    """Whether some pattern can mean this database; a template can mean any."""
    return any("{" in pattern for pattern in patterns) or within(database, patterns)
