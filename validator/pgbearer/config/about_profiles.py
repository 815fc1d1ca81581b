"""What settings must say for one kind of authorization server and not for others.

Checks over decoded settings, as in `pgbearer.config.checks`, which lists them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from pgbearer.config.problems import Problem
from pgbearer.config.settings import Settings

__all__ = [
    "CLIENTS_REQUIRED",
    "STABLE",
    "clients_are_ids",
    "entra_issuers_are_tenants",
    "github_rules_say_whose_jobs",
    "okta_issuers_are_custom",
    "tenant_of",
]

CLIENTS_REQUIRED: Final[Mapping[str, str]] = {
    "keycloak": "required for profile keycloak",
    "entra": "required for profile entra: the ids of applications that may bring tokens (azp, appid)",
    "okta": "required for profile okta: the ids of clients that may bring tokens (cid)",
    "github-actions": "required for profile github-actions: the ids of repositories' owners (repository_owner_id)",
}
"""Profiles whose issuers give tokens to anybody in the house, or on earth, and so need a list of whom we mean."""

STABLE: Final[Mapping[str, tuple[str, ...]]] = {
    "entra": ("oid", "sub"),
    "okta": ("uid",),
    "github-actions": ("repository_id", "repository_owner_id"),
}
"""Claims of which an identity must hold one to be stable, the best first; everywhere else that is ``sub``. At Okta
``sub`` is a user name, and at GitHub it is made of names that others can get once they are given up."""

_TENANT: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IDS: Final[Mapping[str, tuple[re.Pattern[str], str]]] = {
    "entra": (_TENANT, "an application, in lower case"),
    "github-actions": (re.compile(r"[1-9][0-9]*"), "an owner of repositories, a number"),
}


def tenant_of(issuer: str) -> str | None:
    """The tenant in the address of an issuer of Entra's, None if it is that of no single one.

    ``https://login.microsoftonline.com/TENANT/v2.0``, or ``https://sts.windows.net/TENANT/`` for tokens of version 1.0.
    """
    steps = urlsplit(issuer).path.strip("/").removesuffix("/v2.0").split("/")
    return steps[0] if len(steps) == 1 and _TENANT.fullmatch(steps[0]) else None


def entra_issuers_are_tenants(settings: Settings) -> Iterator[Problem]:
    """``common``, ``organizations`` and ``consumers`` stand for every tenant there is, or for none."""
    for name, issuer in settings.issuers.items():
        if issuer.profile == "entra" and tenant_of(issuer.issuer) is None:
            yield Problem(
                path=("issuers", name, "issuer"),
                message="names no tenant by its id",
                hint="https://login.microsoftonline.com/TENANT/v2.0, with the tenant's id in lower case",
            )


def okta_issuers_are_custom(settings: Settings) -> Iterator[Problem]:
    """The organization's own server has a bare address; its tokens are for Okta's API, and nobody else checks them."""
    for name, issuer in settings.issuers.items():
        if issuer.profile == "okta" and not urlsplit(issuer.issuer).path.startswith("/oauth2/"):
            yield Problem(
                path=("issuers", name, "issuer"),
                message="names no custom authorization server",
                hint="https://example.okta.com/oauth2/default, as the server's page in Okta's console says",
                severity="warning",
            )


def clients_are_ids(settings: Settings) -> Iterator[Problem]:
    """Tokens of Entra and GitHub know clients by ids; a name would match nobody, today."""
    for name, issuer in settings.issuers.items():
        wanted, like = _IDS.get(issuer.profile, (None, ""))
        for index, client in enumerate(issuer.clients):
            if wanted is not None and not wanted.fullmatch(client):
                path = ("issuers", name, "clients", index)
                yield Problem(path=path, message=f'"{client}" is no id of {like}')


def github_rules_say_whose_jobs(settings: Settings) -> Iterator[Problem]:
    """Without a condition every workflow of every repository of the owner is let in, those of pull requests too."""
    jobs = {name for name, issuer in settings.issuers.items() if issuer.profile == "github-actions"}
    for index, rule in enumerate(settings.rules):
        named = set(rule.issuers) or set(settings.issuers)
        if not rule.deny and rule.when is None and named <= jobs:
            yield Problem(
                path=("rules", index, "when"),
                message="any job of any repository of the owner may come: there is no condition",
                hint='say which, such as claims.repository_id == "74" && claims.ref == "refs/heads/main"',
                severity="warning",
            )
