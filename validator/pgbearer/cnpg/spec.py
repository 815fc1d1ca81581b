"""The short spec of a Cluster that people log in to with tokens: its one schema."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pgbearer.cnpg.taken import (
    free_cluster,
    free_database,
    free_issuer,
    free_namespace,
    free_role,
    given_role,
    like,
    no_truth,
    printable,
    some,
    with_a_host,
    without_reference,
)
from pgbearer.config import Section

__all__ = ["Authority", "External", "Federated", "Identity", "Images", "OtherIssuer", "Resources", "Role", "Spec"]
__all__ += ["Account", "People", "Spire", "Workloads"]

_ClusterName = Annotated[
    str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=50), AfterValidator(free_cluster)
]  # RFC 1035: of Services
_Label = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]  # RFC 1123
_Namespace = Annotated[_Label, AfterValidator(free_namespace)]
_Subdomain = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")]
_ObjectName = Annotated[_Subdomain, Field(max_length=253)]
_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_PART = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_AccountName = Annotated[
    str,
    Field(max_length=317),
    AfterValidator(like(rf"{_LABEL}/{_PART}(\.{_PART})*", "NAMESPACE/NAME, such as shop/orders")),
]
_Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][-._A-Za-z0-9]*$", max_length=253)]  # of a ConfigMap
_SqlName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$", max_length=63)]
_RoleName = Annotated[_SqlName, AfterValidator(free_role)]
_Inherited = Annotated[tuple[Annotated[_SqlName, AfterValidator(given_role)], ...], Field(strict=False, max_length=50)]
_Word = Annotated[
    str, Field(pattern=r"^[!#%-\[\]-z|~]+$", max_length=256)
]  # without a quote, a backslash, and what makes a ${reference} or a {template}
_OfToken = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(printable)]
"""A role or group of an issuer, as its tokens have it: some are names for people, with spaces."""
_Https = Annotated[
    str,
    Field(pattern=r"^https://[!$-.0-;=A-Z\[\]_a-z~][!$-;=A-Z\[\]_a-z~]*$", max_length=256),
    AfterValidator(with_a_host),
]
_Image = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?"
        r"(@sha256:[0-9a-f]{64})?$",
        max_length=512,
    ),
]
_Line = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\r\n\\]+$"), AfterValidator(without_reference)]
_TrustDomain = _ObjectName  # as the object is called that federates with it
_SpiffePath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$", max_length=1024)]
_Memory = Annotated[str, AfterValidator(like("[1-9][0-9]{0,5}(Mi|Gi|Ti)", "a number of Mi, Gi or Ti, such as 10Gi"))]
_Cpu = Annotated[
    str, AfterValidator(like("[1-9][0-9]{0,5}m?", "a whole number or one of thousandths, such as 2 or 500m"))
]
_Duration = Annotated[
    str, AfterValidator(like("[1-9][0-9]{0,5}[smhd]", "a number of s, m, h or d, such as 8h"))
]  # as pgbearer.yaml has it


class Identity(Section):
    """A role of the database that somebody gets."""

    name: _RoleName
    """Of the role in the database."""
    inherits: _Inherited = ()
    """Roles that it is a member of, such as pg_read_all_data; of `app`, the database's owner, to change the schema."""
    session: _Duration | None = None
    """How long a session lasts, whatever the token says. Left out: as the policy has it for all."""


class Role(Identity):
    """A role that people get by what their token says."""

    given_by: Annotated[tuple[_OfToken, ...], Field(strict=False, max_length=200)] = ()
    """Roles of the issuer that give it, or groups where it goes by them. Left out: the one of the same name."""
    issuer: str | None = None
    """Of `other_issuers`; left out: the one at `issuer`."""


class Authority(Section):
    """A ConfigMap that you make, with the authority that an issuer's certificate comes from."""

    config_map: _ObjectName
    key: _Key = "ca.crt"


class People(Section):
    """An issuer that people come from."""

    issuer: _Https
    """Of their tokens, as it writes itself."""
    profile: Literal["keycloak", "entra", "okta", "rfc9068"] | None = None
    """Which kind it is. Left out: keycloak, for the address of a realm."""
    scope: _Word | None = None
    """That is asked for, and that tokens have. Left out: called as the audience."""
    go_by: Literal["roles", "groups"] | None = None
    """What of the tokens gives roles. Left out: as the profile's tokens have it."""


class OtherIssuer(People):
    """An issuer beside the first, with people and roles of its own."""

    audience: _Word | None = None
    """Of its tokens for this Cluster. Left out: as those of the first."""
    clients: Annotated[tuple[_Word, ...], Field(strict=False, min_length=1)]
    ca: Authority | None = None


class Account(Identity):
    """A role that pods get."""

    service_account: _AccountName
    """Whose: ``NAMESPACE/NAME``."""


class Workloads(Section):
    """Pods that log in with their service account's token."""

    issuer: _Https = "https://kubernetes.default.svc.cluster.local"
    """Of service account tokens, as the API server writes itself."""
    roles: Annotated[tuple[Account, ...], Field(strict=False, max_length=200), AfterValidator(some)]


class SpiffeRole(Identity):
    """A role that a workload gets by its SPIFFE ID."""

    path: _SpiffePath
    """Of the ID: what follows the trust domain."""


class Federated(Section):
    """Workloads of a trust domain that yours is federated with."""

    trust_domain: _TrustDomain
    bundle_endpoint: _Https
    """Where its SPIRE gives its keys."""
    roles: Annotated[tuple[SpiffeRole, ...], Field(strict=False, max_length=200), AfterValidator(some)]


class Spire(Section):
    """Workloads that log in with their SPIFFE ID."""

    trust_domain: _TrustDomain
    jwt_issuer: _Https
    """As SPIRE's server is configured; the line of pg_hba names it."""
    roles: Annotated[tuple[SpiffeRole, ...], Field(strict=False, max_length=200), AfterValidator(some)]
    federated: Federated | None = None


class External(Section):
    """Where External Secrets finds the certificates."""

    store: _ObjectName = "vault"
    """A ClusterSecretStore."""
    path: (
        Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$", max_length=256)]
        | None
    ) = None
    """In it; ``service`` and ``client`` are below. Left out: as the namespace, and in it the service, are called."""


class Resources(Section):
    """Of each instance."""

    cpu: _Cpu = "1"
    memory: _Memory = "1Gi"


class Images(Section):
    """Where images come from; pin a digest."""

    service: _Image = "registry.example/pgbearer:0.1.0"
    module: _Image = "registry.example/pgbearer-module:0.1.0-18-trixie"
    postgres: _Image = "ghcr.io/cloudnative-pg/postgresql:18-minimal-trixie"


class Spec(People):
    """What differs between one Cluster and another."""

    version: Annotated[Literal[1], BeforeValidator(no_truth)]
    name: _ClusterName = "pg"
    """Of the Cluster."""
    namespace: _Namespace = "databases"
    namespace_exists: bool = False
    """Whether somebody else makes the namespace, and says what its pods may be."""
    issuer_ca: Authority | None = None
    audience: _Word
    """Of tokens for this Cluster."""
    clients: Annotated[tuple[_Word, ...], Field(strict=False, min_length=1)] | None = None
    """Who may have got the tokens. Left out: those of our realm; of another profile they must be said."""
    other_issuers: Annotated[dict[Annotated[str, AfterValidator(free_issuer)], OtherIssuer], Field(max_length=20)] = (
        Field(default_factory=dict)
    )
    database: Annotated[_SqlName, AfterValidator(free_database)] = "appdb"
    roles: Annotated[tuple[Role, ...], Field(strict=False, max_length=200), AfterValidator(some)]
    """What people may be."""
    workloads: Workloads | None = None
    spire: Spire | None = None
    mode: Literal["service", "sidecar"] = "service"
    """Where the service runs: in pods of its own, or in each instance's."""
    certificates: Literal["cert-manager", "external", "secret"] = "cert-manager"
    """Who makes the two Secrets with certificates of mode service."""
    external: External = External()
    trust_config_map: bool = False
    """Whether they trust what is in a ConfigMap that you make, in which two authorities can be for a while."""
    mesh: Literal["istio", "linkerd"] | None = None
    mesh_clients: Annotated[tuple[_AccountName, ...], Field(strict=False, max_length=200)] = ()
    """Service accounts that reach PostgreSQL through the mesh, beside those of `workloads`."""
    monitoring: bool = False
    alerts_page: _Https | None = None
    """Where your copy of docs/alerts.md is, for who is alerted. Left out: an address that is an example."""
    instances: Annotated[int, Field(ge=1, le=20)] = 3
    replicas: Annotated[int, Field(ge=1, le=8)] = 2
    """Of the service, at least."""
    storage: _Memory = "10Gi"
    storage_class: _ObjectName | None = None
    resources: Resources = Resources()
    break_glass: _RoleName | None = "breakglass"
    """A superuser who comes in with a certificate when nobody else can; null for none."""
    images: Images = Images()
    lines: Annotated[tuple[_Line, ...], Field(strict=False, max_length=100)] = ()
    """More lines of pg_hba, above ours, that let nobody in beside OAuth."""
    insecure_lines: Annotated[tuple[_Line, ...], Field(strict=False, max_length=100)] = ()
    """More lines of pg_hba, above ours, that do."""
