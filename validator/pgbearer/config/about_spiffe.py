"""What an issuer that is a SPIFFE trust domain must agree on with itself and others; see `pgbearer.config.checks`."""

import re
from collections.abc import Iterator
from typing import Final

from pgbearer.config.problems import KeyPath, Problem
from pgbearer.config.settings import Issuer, Settings

__all__ = ["SPIFFE_CHECKS"]

_TRUST_DOMAIN: Final = re.compile(r"spiffe://[a-z0-9._-]{1,255}")
"""SPIFFE-ID.md section 2.1."""
_SOURCES: Final = ("bundle_file", "bundle_url", "workload_api")
_SIGNED: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"})
"""JWT-SVID.md section 2.1."""


def trust_domains_are_strict(settings: Settings) -> Iterator[Problem]:
    """A trust domain is the issuer of profile spiffe, and of no other."""
    for name, issuer in settings.issuers.items():
        path: KeyPath = ("issuers", name, "issuer")
        if issuer.profile == "spiffe" and not _TRUST_DOMAIN.fullmatch(issuer.issuer):
            yield Problem(path=path, message="must be a trust domain", hint="write spiffe://NAME, in lower case")
        elif issuer.profile != "spiffe" and not issuer.issuer.startswith("https://"):
            yield Problem(path=path, message=f"must be an https address for profile {issuer.profile}")


def bundles_have_one_source(settings: Settings) -> Iterator[Problem]:
    """Keys come from one place, and what is said of that place means something there."""
    for name, issuer in settings.issuers.items():
        path: KeyPath = ("issuers", name, "spiffe")
        if issuer.profile != "spiffe":
            if issuer.spiffe is not None:
                yield Problem(path=path, message=f"means nothing for profile {issuer.profile}")
            continue
        named = [key for key in _SOURCES if issuer.spiffe is not None and getattr(issuer.spiffe, key) is not None]
        if len(named) != 1:
            yield Problem(path=path, message=f"needs one of {', '.join(_SOURCES)}")
        elif issuer.ca_file is not None and named != ["bundle_url"]:
            yield Problem(path=("issuers", name, "ca_file"), message=f"means nothing with spiffe.{named[0]}")
        if issuer.jwks_uri is not None:
            yield Problem(path=("issuers", name, "jwks_uri"), message="means nothing for profile spiffe")


def bundles_are_of_one_domain(settings: Settings) -> Iterator[Problem]:
    """Nothing in a bundle says whose it is, so a second trust domain with the same would be signed for by the first."""
    used: dict[object, str] = {}
    for name, issuer in settings.issuers.items():
        for key in ("bundle_file", "bundle_url"):
            bundle = getattr(issuer.spiffe, key) if issuer.profile == "spiffe" and issuer.spiffe else None
            if bundle is not None and used.setdefault(bundle, name) != name:
                message = f'the bundle of issuer "{used[bundle]}"; each trust domain has its own'
                yield Problem(path=("issuers", name, "spiffe", key), message=message)


def svids_can_be_signed(settings: Settings) -> Iterator[Problem]:
    """JWT-SVIDs are signed with RSA or ECDSA only; other algorithms in the list are passed over."""
    for name, issuer in settings.issuers.items():
        if issuer.profile == "spiffe" and not _SIGNED & set(issuer.algorithms):
            yield Problem(path=("issuers", name, "algorithms"), message="no JWT-SVID is signed so")


def trust_domains_can_be_reached(settings: Settings) -> Iterator[Problem]:
    """Tokens of a trust domain without ``iss`` come behind another issuer's HBA lines, or never."""
    for name, issuer in settings.issuers.items():
        if issuer.profile == "spiffe" and not (issuer.behind or (issuer.spiffe and issuer.spiffe.iss)):
            yield Problem(
                path=("issuers", name),
                message="no HBA line can name this trust domain",
                hint="give spiffe.iss, or open it behind another issuer's lines: behind",
                severity="warning",
            )


def issuers_are_named_once(settings: Settings) -> Iterator[Problem]:
    """What ``iss`` of a trust domain's tokens says is nobody else's, or one token would be of two issuers.

    A slash at the end makes no other: an HBA line may name an issuer by its metadata, whose address is then the same.
    """
    said: dict[str, str] = {}
    for name, issuer in settings.issuers.items():
        iss = _said(issuer)
        if iss is not None and iss in said:
            yield Problem(path=("issuers", name), message=f'has the same iss as issuer "{said[iss]}"')
        elif iss is not None and issuer.profile == "spiffe":
            said[iss] = name
    for name, issuer in settings.issuers.items():
        address = issuer.issuer.rstrip("/")
        if issuer.profile != "spiffe" and address in said:
            yield Problem(path=("issuers", name, "issuer"), message=f'the same iss as issuer "{said[address]}"')


def _said(issuer: Issuer) -> str | None:
    said = issuer.spiffe.iss if issuer.profile == "spiffe" and issuer.spiffe else None
    return said.rstrip("/") if said else None


SPIFFE_CHECKS: Final = (
    trust_domains_are_strict,
    bundles_have_one_source,
    bundles_are_of_one_domain,
    svids_can_be_signed,
    trust_domains_can_be_reached,
    issuers_are_named_once,
)
