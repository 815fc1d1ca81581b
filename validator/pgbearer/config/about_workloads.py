"""What issuers of workloads' tokens must agree on with themselves; see `pgbearer.config.checks`."""

from collections.abc import Iterator
from typing import Final

from pgbearer.config.problems import KeyPath, Problem
from pgbearer.config.settings import Settings
from pgbearer.config.template import TemplateError, parse_template
from pgbearer.config.workloads import WORKLOADS, api_audiences

__all__ = [
    "accounts_are_told_apart",
    "api_server_is_not_the_audience",
    "clients_of_the_critical_tier_are_named",
    "clusters_are_reached",
    "critical_tokens_are_reviewed",
    "workloads_have_no_clients",
]

ACCOUNT_FIELDS: Final = ("namespace", "service_account")


def workloads_have_no_clients(settings: Settings) -> Iterator[Problem]:
    """Their tokens name no client, and nobody ever logged in to get them: what asks for that would refuse them all."""
    for name, issuer in settings.issuers.items():
        if issuer.profile not in WORKLOADS:
            continue
        asked: dict[KeyPath, object] = {("clients",): issuer.clients, ("agents",): issuer.agents}
        if issuer.critical is not None:
            asked |= {("critical", "clients"): issuer.critical.clients, ("critical", "acr"): issuer.critical.acr}
        for path, value in asked.items():
            if value:
                yield Problem(path=("issuers", name, *path), message=f"means nothing for profile {issuer.profile}")


def clients_of_the_critical_tier_are_named(settings: Settings) -> Iterator[Problem]:
    """Where tokens name the client that got them, the critical tier says which of them will do."""
    for name, issuer in settings.issuers.items():
        if issuer.critical is not None and not issuer.critical.clients and issuer.profile not in WORKLOADS:
            yield Problem(path=("issuers", name, "critical", "clients"), message="required, but not given")


def clusters_are_reached(settings: Settings) -> Iterator[Problem]:
    """``kubernetes`` is for its profile; who is asked there, and with what, has an address."""
    for name, issuer in settings.issuers.items():
        cluster = issuer.kubernetes
        if cluster is None:
            continue
        path: KeyPath = ("issuers", name, "kubernetes")
        if issuer.profile != "kubernetes":
            yield Problem(path=path, message=f"means nothing for profile {issuer.profile}")
        elif cluster.api_server is None:
            for key, asked in {
                "token_file": cluster.token_file is not None,
                "review": cluster.review != "never",
            }.items():
                if asked:
                    yield Problem(path=(*path, key), message="needs `api_server`")
        elif issuer.jwks_uri is not None:
            message = "means nothing where `kubernetes.api_server` says where the keys are"
            yield Problem(path=("issuers", name, "jwks_uri"), message=message)


def api_server_is_not_the_audience(settings: Settings) -> Iterator[Problem]:
    """A token that a database takes must be good for nothing at the API server."""
    for name, issuer in settings.issuers.items():
        if issuer.profile == "kubernetes" and issuer.audience in api_audiences(issuer.issuer, issuer.kubernetes):
            yield Problem(
                path=("issuers", name, "audience"),
                message="is one of the API server's own: whoever sees such a token can use it there",
                hint="give the database service an audience of its own, such as db:NAME",
            )


def critical_tokens_are_reviewed(settings: Settings) -> Iterator[Problem]:
    """A signature outlives the pod; for the critical tier the API server itself says that the token still holds."""
    for name, issuer in settings.issuers.items():
        reviewed = issuer.kubernetes is not None and issuer.kubernetes.review != "never"
        if issuer.profile == "kubernetes" and issuer.critical is not None and not reviewed:
            message = "needs `kubernetes.review: critical` (or always)"
            yield Problem(path=("issuers", name, "critical"), message=message)


def accounts_are_told_apart(settings: Settings) -> Iterator[Problem]:
    """An identity says which service account, and not only the name that the next one may have."""
    for name, issuer in settings.issuers.items():
        if issuer.profile != "kubernetes":
            continue
        try:
            fields = parse_template(issuer.identity).fields
        except TemplateError:
            continue  # reported by pgbearer.config.checks.identities_are_apart
        path: KeyPath = ("issuers", name, "identity")
        if "sub" not in fields and not set(ACCOUNT_FIELDS) <= set(fields):
            hint = "write {namespace}:{service_account}:{service_account_uid}"
            yield Problem(path=path, message="is the same for several service accounts", hint=hint)
        elif "service_account_uid" not in fields:
            yield Problem(
                path=path,
                message="an account that is deleted and made anew is the same for it",
                hint="add {service_account_uid}",
                severity="warning",
            )
