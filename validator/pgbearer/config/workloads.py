"""Settings of issuers whose tokens are of workloads rather than of people."""

from typing import Annotated, Final, Literal

from pydantic import Field

from pgbearer.config.section import AbsolutePath, Name, Section

__all__ = ["WORKLOADS", "Kubernetes", "Spiffe", "api_audiences"]

WORKLOADS: Final = frozenset({"kubernetes", "spiffe"})
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
    review: Literal["never", "critical", "always"] = "never"
    """Ask the API server whether the token still holds: those of a pod, node or service account that is gone do not,
    though their signature does. No answer is a denial. `always`: at every login. `critical`: before a rule of the
    critical tier lets somebody in. Rules of that tier need one of the two."""


class Spiffe(Section):
    """Where the keys of a SPIFFE trust domain are (profile spiffe): one of the first three."""

    bundle_file: AbsolutePath | None = None
    """A file with the trust domain's bundle (a JWK set), which somebody keeps fresh: read at every `keys.refresh`."""
    bundle_url: Annotated[str, Field(pattern=r"^https://[^\s?#]+$", max_length=2048)] | None = None
    """The trust domain's bundle endpoint, of SPIFFE's profile https_web: its certificate is checked with `ca_file`."""
    workload_api: AbsolutePath | None = None
    """The Unix socket of the SPIFFE Workload API (SPIRE: the agent's), which has the bundles of the service's own trust
    domain and of those it is federated with. Needs the extra `spiffe`."""
    iss: Annotated[str, Field(pattern=r"^https://[^\s?#]+$", max_length=2048)] | None = None
    """What the tokens' iss must be (SPIRE: `jwt_issuer`); an HBA line may name it. Left out: it is not looked at, and
    the tokens are accepted behind other issuers' HBA lines only (`behind`)."""


def api_audiences(issuer: str, cluster: Kubernetes | None) -> frozenset[str]:
    """What the API server of a cluster takes for its own audiences; by default, the issuer alone."""
    return frozenset({issuer, *(cluster.api_audiences if cluster else ())})
