"""What is wrong with the issuers of a spec's people: addresses, profiles, and words that no token of theirs has."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from pgbearer.cnpg.issuers import Issuer, issuers_of
from pgbearer.cnpg.profiles import PROFILES, known_by
from pgbearer.cnpg.spec import Spec
from pgbearer.config import Problem

__all__ = ["judge_issuers"]

_OF_JOBS: Final = "token.actions.githubusercontent.com"


def judge_issuers(spec: Spec) -> Iterator[Problem]:
    """All of it. Pure."""
    yield from _are_used(spec)
    for each in issuers_of(spec):
        yield from _fits_its_profile(each)
        if known_by(each.address) or each.people.profile:
            yield from _says_what_tokens_have(each)


def _are_used(spec: Spec) -> Iterator[Problem]:
    """Each is named once, and has roles."""
    addresses = {spec.issuer}
    for name, other in spec.other_issuers.items():
        if other.issuer in addresses:
            yield Problem(path=("other_issuers", name, "issuer"), message="stands here twice")
        addresses.add(other.issuer)
        if not any(role.issuer == name for role in spec.roles):
            message = "no role says issuer: " + name
            yield Problem(path=("other_issuers", name), message=message, hint="give it a role, or take it out")
    for index, role in enumerate(spec.roles):
        if role.issuer is not None and role.issuer not in spec.other_issuers:
            path = ("roles", index, "issuer")
            yield Problem(path=path, message=f'other_issuers has no "{role.issuer[:100]}"')
    if all(role.issuer is not None for role in spec.roles):
        yield Problem(path=("roles",), message="none is of the first issuer", hint="leave issuer out of one of them")


def _fits_its_profile(each: Issuer) -> Iterator[Problem]:
    """Of another kind than the policy is for, nobody would get in."""
    parts, known, said = urlsplit(each.address), known_by(each.address), each.people.profile
    at = (*each.path, "issuer")
    if parts.hostname == _OF_JOBS:
        hint = "write its part of pgbearer.yaml by hand, as docs/profiles/github-actions.md"
        yield Problem(path=at, message="makes tokens for jobs, and not for people", hint=hint)
    elif said is None and known is None:
        message = f"no realm of Keycloak's ({PROFILES['keycloak'].like}), and taken for one nobody would get in"
        hint = "say profile: entra, okta or rfc9068 beside it, as docs/profiles/index.md"
        yield Problem(path=at, message=message, hint=hint)
    elif said is None and known != "keycloak":
        message = f"is of profile {known}, and taken for a realm of Keycloak's nobody would get in"
        yield Problem(path=at, message=message, hint=f"say profile: {known} beside it, as docs/profiles/{known}.md")
    elif known is not None and said is not None and known != said:
        hint = f"say profile: {known}, as docs/profiles/{known}.md"
        yield Problem(path=(*each.path, "profile"), message=f"the address is one of profile {known}", hint=hint)
    elif not each.kind.path.fullmatch(parts.path):
        hint = f"docs/profiles/{each.profile}.md"
        yield Problem(path=at, message=f"no issuer of profile {each.profile}: {each.kind.like}", hint=hint)


def _says_what_tokens_have(each: Issuer) -> Iterator[Problem]:
    """Words that no token of such an issuer has let nobody in."""
    kind, hint = each.kind, f"docs/profiles/{each.profile}.md"
    if not kind.audience.fullmatch(each.audience):
        message = f"of profile {each.profile} it is {kind.audience_like}"
        yield Problem(path=(*each.path, "audience"), message=message, hint=hint)
    if kind.scope is not None and not kind.scope.fullmatch(each.people.scope or ""):
        message = f"of profile {each.profile} it must be said, as {kind.scope_like}"
        yield Problem(path=(*each.path, "scope"), message=message, hint=hint)
    if not each.clients:
        message = f"of profile {each.profile} they must be said: {kind.clients_like}"
        yield Problem(path=(*each.path, "clients"), message=message, hint=hint)
