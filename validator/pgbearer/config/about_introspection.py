"""What settings of introspection must agree on with the issuer's: small checks, as in `pgbearer.config.checks`."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from pgbearer.config.problems import Problem
from pgbearer.config.settings import Settings
from pgbearer.config.workloads import WORKLOADS

__all__ = ["introspection_fits_its_issuer"]

_UNASKED: Final = frozenset({"github-actions", "entra"})
"""Profiles whose servers have no introspection endpoint."""


def introspection_fits_its_issuer(settings: Settings) -> Iterator[Problem]:
    """Workloads have other ways; the critical tier must exist; tokens and secret go to the issuer and nobody else."""
    for name, issuer in settings.issuers.items():
        asked = issuer.introspection
        if asked is None:
            continue
        path = ("issuers", name, "introspection")
        if issuer.profile in WORKLOADS or issuer.profile in _UNASKED:
            yield Problem(path=path, message=f"means nothing for profile {issuer.profile}: there is nobody to ask")
        if asked.when == "critical" and issuer.critical is None:
            message = f'issuer "{name}" does not say what is critical'
            hint = f"write issuers.{name}.critical.clients, or `when: always`"
            yield Problem(path=(*path, "when"), message=message, hint=hint)
        if urlsplit(asked.endpoint)[:2] != urlsplit(issuer.issuer)[:2]:
            yield Problem(
                path=(*path, "endpoint"),
                message="is not on the issuer's own origin: tokens and our secret go there",
                hint="compare it with introspection_endpoint in the issuer's metadata",
                severity="warning",
            )
