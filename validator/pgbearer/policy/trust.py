"""Rules that hang on what should not decide: what the client claims, what people can edit, loose comparisons."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from pgbearer.config import EDITABLE_CLAIMS, Problem, Rule, TemplateError, parse_template
from pgbearer.policy.review import Review, finding
from pgbearer.policy.source import calls_in, names_in

__all__ = [
    "group_is_no_path",
    "group_prefix_is_open",
    "hangs_on_what_people_can_edit",
    "text_is_sought_anywhere",
    "trusts_the_unverified",
]

VERIFIED_BY: Final[Mapping[str, str]] = {"email": "email_verified", "phone_number": "phone_number_verified"}
"""OpenID Connect Core 1.0 section 5.1: the claims that say whether somebody has checked another."""


def trusts_the_unverified(review: Review) -> Iterator[Problem]:
    """An allow rule that hangs on what the client merely claims."""
    for index, rule, source in review.sources:
        if source.unverified and not rule.deny:
            yield finding(
                index, "when", "request.unverified.* is whatever the client says; an allow rule should not hang on it"
            )


def hangs_on_what_people_can_edit(review: Review) -> Iterator[Problem]:
    """An allow rule that hangs on a claim that its subject can change (a user name, an unverified email)."""
    for index, rule in enumerate(review.settings.rules):
        if rule.deny:
            continue
        asked = _claims_in(rule.when)
        for key, claims in (("when", asked), *_named_by(rule)):
            for claim in sorted(EDITABLE_CLAIMS & set(claims)):
                verified = VERIFIED_BY.get(claim)
                if verified is None:
                    message = f'people can change "{claim}" themselves; an allow rule should not hang on it'
                    yield finding(index, key, message)
                elif verified not in asked:
                    hint = f"add to the rule's when: claims.{verified}"
                    yield finding(index, key, f'nobody vouches for "{claim}" without "{verified}"', hint)


def text_is_sought_anywhere(review: Review) -> Iterator[Problem]:
    """``contains()`` finds its text anywhere: ``"dba"`` in ``"not-a-dba"``."""
    for index, rule, _ in review.sources:
        for name, literal in calls_in(rule.when or ""):
            if name == "contains" and not rule.deny:
                hint = "compare the whole text with ==, or a list with in"
                yield finding(index, "when", f"contains({literal or '...'}) finds its text anywhere", hint)


def group_is_no_path(review: Review) -> Iterator[Problem]:
    """Keycloak writes groups as paths; without, two groups of one name cannot be told apart."""
    issuers = review.settings.issuers
    for index, rule in enumerate(review.settings.rules):
        named = [issuers[name] for name in rule.issuers or issuers if name in issuers]
        for group in rule.any_group:
            if not group.startswith("/") and any(issuer.profile == "keycloak" for issuer in named):
                message = f'"{group}" is no path: without full paths, any group of that name will do'
                yield finding(index, "any_group", message, f'write "/{group}", and full.path in the mapper')
            elif "*" in group:
                yield finding(index, "any_group", f'"{group}" is taken as it stands: groups have no patterns')


def group_prefix_is_open(review: Review) -> Iterator[Problem]:
    """``startsWith("/dba")`` also takes ``/dba-trainees``."""
    for index, rule, _ in review.sources:
        if "token.groups" not in names_in(rule.when or ""):
            continue
        for name, literal in calls_in(rule.when or ""):
            if name == "startsWith" and literal is not None and not literal.rstrip("\"'").endswith("/"):
                message = f"startsWith({literal}) also takes groups whose names go on after it"
                yield finding(index, "when", message, "end it with /, or compare with ==")


def _claims_in(when: str | None) -> frozenset[str]:
    names = names_in(when) if when else ()
    return frozenset(name.removeprefix("claims.").partition(".")[0] for name in names if name.startswith("claims."))


def _named_by(rule: Rule) -> Iterator[tuple[str, Collection[str]]]:
    """The claims that names of databases and roles are made from."""
    for key, names in (("databases", rule.databases), ("roles", rule.roles)):
        yield key, [field for name in names for field in _fields(name)]
    if rule.roles_from is not None:
        yield "roles_from", [rule.roles_from.claim]


def _fields(name: str) -> tuple[str, ...]:
    try:
        return parse_template(name).fields
    except TemplateError:
        return ()  # reported by pgbearer.config.checks.templates_are_known
