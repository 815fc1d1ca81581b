"""The issuers of a spec's people: that they are realms of Keycloak's, as the policy takes them, and their ports."""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from pgbearer.cnpg.spec import Spec
from pgbearer.config import KeyPath, Problem

__all__ = ["hosts", "judge_issuers", "ports"]

_REALM: Final = re.compile(r"(?:/[^/]+)*/realms/[^/]+")
"""The end of every issuer of Keycloak's: the realm (services/Urls.java of its source, realmIssuer)."""
_PAGES: Final[Mapping[str, str]] = {
    "login.microsoftonline.com": "entra",
    "login.microsoftonline.us": "entra",
    "sts.windows.net": "entra",
    "okta.com": "okta",
    "oktapreview.com": "okta",
    "okta-emea.com": "okta",
    "token.actions.githubusercontent.com": "github-actions",
}
"""By the end of a host: the page below docs/profiles. Others may keep to RFC 9068."""


def judge_issuers(spec: Spec) -> Iterator[Problem]:
    """What is wrong with them. Pure."""
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
    yield from _are_realms(spec)


def _are_realms(spec: Spec) -> Iterator[Problem]:
    """The rules go by roles as Keycloak's tokens have them: of any other issuer nobody would get in."""
    for path, address in _addresses(spec):
        parts = urlsplit(address)
        if _REALM.fullmatch(parts.path):
            continue
        message = (
            "no realm of Keycloak's (https://HOST/realms/REALM), which the policy would be for: nobody would get in"
        )
        page = _page(parts.hostname or "")
        hint = f"render one for a realm, and write its pgbearer.yaml by hand, as docs/profiles/{page}.md"
        yield Problem(path=path, message=message, hint=hint)


def ports(spec: Spec) -> list[int]:
    """At which they are asked, but 443, in order."""
    return sorted({urlsplit(address).port or 443 for _, address in _addresses(spec)} - {443})


def hosts(spec: Spec) -> Iterator[tuple[KeyPath, str]]:
    """Of each, and where it is written."""
    for path, address in _addresses(spec):
        yield path, urlsplit(address).hostname or ""


def _addresses(spec: Spec) -> Iterator[tuple[KeyPath, str]]:
    yield ("issuer",), spec.issuer
    for name, other in spec.other_issuers.items():
        yield ("other_issuers", name, "issuer"), other.issuer


def _page(host: str) -> str:
    return next((page for end, page in _PAGES.items() if host == end or host.endswith(f".{end}")), "index")
