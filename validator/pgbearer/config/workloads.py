"""Settings of issuers whose tokens are of workloads rather than of people."""

from typing import Annotated, Final

from pydantic import Field

from pgbearer.config.section import AbsolutePath, Name, Section

__all__ = ["WORKLOADS", "Kubernetes", "api_audiences"]

WORKLOADS: Final = frozenset({"kubernetes"})
"""Profiles whose tokens are of workloads: they name no client, and say nothing of when and how somebody logged in."""


class Kubernetes(Section):
    """The API server of the cluster whose service accounts log in (profile kubernetes)."""

    api_server: Annotated[str, Field(pattern=r"^https://[^\s?#]+$", max_length=2048)] | None = None
    """Its address as this service reaches it, checked with `ca_file`: the keys are read there. Left out: they are read
    at the issuer's own address, which clusters with a public issuer have."""
    token_file: AbsolutePath | None = None
    """A token of this service's own for the API server, which tells its keys to nobody else. Read anew for each
    request, for it is renewed."""
    api_audiences: tuple[Name, ...] = ()
    """Audiences that the API server takes for its own (its `--api-audiences`), beside the issuer: a token that has one
    is refused, also with `audience_exclusive: false`, since whoever it is shown to could use it there."""
    token_review: bool = False
    """Ask the API server at each login whether the token still holds: those of a pod, node or service account that is
    gone do not, though their signature does. No answer is a denial. Required for rules of the critical tier."""


def api_audiences(issuer: str, cluster: Kubernetes | None) -> frozenset[str]:
    """What the API server of a cluster takes for its own audiences; by default, the issuer alone."""
    return frozenset({issuer, *(cluster.api_audiences if cluster else ())})
