"""The issuers of a spec's people: the first and the others alike, with what their profile says where they do not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pgbearer.cnpg.profiles import PROFILES, Profile, known_by
from pgbearer.cnpg.spec import Authority, People, Spec
from pgbearer.config import KeyPath

__all__ = ["CORP", "Issuer", "hosts", "issuers_of", "ports"]

CORP: Final = "corp"
"""What the policy calls the first issuer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """One of them."""

    name: str
    """In the policy."""
    said: str | None
    """As roles name it."""
    path: KeyPath
    """Where its keys stand in the spec."""
    people: People
    profile: str
    """What it is taken for: what its address tells, or else what it says."""
    audience: str
    clients: Sequence[str]
    authority: Authority | None

    @property
    def address(self) -> str:
        """As it writes itself."""
        return self.people.issuer

    @property
    def kind(self) -> Profile:
        """What its profile says."""
        return PROFILES[self.profile]

    @property
    def goes_by(self) -> str:
        """What its tokens have that gives roles: roles or groups."""
        return self.people.go_by or self.kind.go_by

    @property
    def scope(self) -> str:
        """In the line of pg_hba."""
        scope = self.people.scope or self.audience
        return f"openid {scope}" if self.kind.openid else scope


def issuers_of(spec: Spec) -> list[Issuer]:
    """All of them, the first before the others."""
    first = _issuer(CORP, None, (), spec, spec.audience, spec.clients, spec.issuer_ca)
    others = (
        _issuer(name, name, ("other_issuers", name), each, each.audience or spec.audience, each.clients, each.ca)
        for name, each in spec.other_issuers.items()
    )
    return [first, *others]


def ports(spec: Spec) -> list[int]:
    """At which they are asked, but 443, in order."""
    return sorted({urlsplit(each.address).port or 443 for each in issuers_of(spec)} - {443})


def hosts(spec: Spec) -> Iterator[tuple[KeyPath, str]]:
    """Of each, and where it is written."""
    for each in issuers_of(spec):
        yield (*each.path, "issuer"), urlsplit(each.address).hostname or ""


def _issuer(
    name: str,
    said: str | None,
    path: KeyPath,
    people: People,
    audience: str,
    clients: Sequence[str] | None,
    authority: Authority | None,
) -> Issuer:
    profile = known_by(people.issuer) or people.profile or "keycloak"
    return Issuer(
        name=name,
        said=said,
        path=path,
        people=people,
        profile=profile,
        audience=audience,
        clients=PROFILES[profile].clients if clients is None else clients,
        authority=authority,
    )
