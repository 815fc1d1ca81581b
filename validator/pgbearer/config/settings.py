"""pgbearer.yaml as typed settings: what each key means, its default and its bounds.

Decoding says what is *shaped* right. What must agree between keys is in `pgbearer.config.checks`; whether conditions
make sense is `pgbearer.policy.compile`'s to say. The text under each field is what users read: `pgbearer config schema`
and docs/settings.md are generated from it.
"""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pgbearer.config.agents import Agent
from pgbearer.config.decider_kinds import Decider
from pgbearer.config.introspection import Introspection
from pgbearer.config.listening import Address, CertificateName, Listen, ListenTls
from pgbearer.config.rules import RolesFrom, Rule, RuleSession
from pgbearer.config.section import AbsolutePath, Duration, Name, Section
from pgbearer.config.workloads import Kubernetes, Spiffe

__all__ = [
    "Admin",
    "Agent",
    "Algorithm",
    "Audit",
    "ClaimType",
    "Critical",
    "Defaults",
    "Duration",
    "Http",
    "Issuer",
    "Keys",
    "Kubernetes",
    "Limits",
    "Listen",
    "ListenTls",
    "RolesFrom",
    "Rule",
    "RuleSession",
    "Section",
    "Server",
    "Session",
    "Settings",
    "Spiffe",
    "State",
]

ClaimType = Literal["string", "int", "bool", "string_list"]
_Usual = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
Algorithm = Literal[_Usual, "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"]


def _no_truth(value: object) -> object:
    """Python takes True for 1, and a literal of pydantic's with it."""
    if isinstance(value, bool):
        raise ValueError("must be 1")  # noqa: TRY004 -- pydantic collects ValueError only
    return value


class Server(Section):
    """A PostgreSQL server that may ask, known by the uid of its process or, on another host, by its certificate."""

    socket: AbsolutePath = Path("/run/pgbearer/login/login.sock")
    """Where this service listens for the server's logins: a Unix socket, at most 107 bytes. Servers may share one."""
    uid: int | str = "postgres"
    """The uid that PostgreSQL runs as, or its name. The kernel tells it; the request cannot."""
    group: int | str | None = None
    """The group that may reach the socket. Default: the primary group of `uid`."""
    certificate: CertificateName | None = None
    """In place of the three above, for a server that asks at `listen.tls`: its SPIFFE ID, or a DNS name of its
    certificate. Compared exactly, without wildcards; a certificate with a SPIFFE ID is known by that alone. Taken out
    of the file, it is refused from the next login on."""


class Keys(Section):
    """How an issuer's signing keys are kept fresh, and how long old ones last."""

    refresh: Annotated[Duration, Field(ge=10)] = 300
    """How often the keys are fetched, ahead of need."""
    max_stale: Duration = 3600
    """How long after the last successful fetch logins go on while the issuer cannot be reached."""
    max_stale_critical: Duration = 600
    """The same for rules of the critical tier."""
    deny: tuple[Name, ...] = ()
    """Key ids (kid) that are refused at once, whatever the issuer publishes."""


class Critical(Section):
    """What tokens must be for rules of the critical tier, beside saying when (auth_time) and how (acr) one came."""

    clients: tuple[Name, ...] = ()
    """Clients (azp) whose tokens will do, out of `clients`. That of the device flow should not be one: its codes can be
    phished. Required, except for profiles of workloads."""
    acr: tuple[Name, ...] = ()
    """Ways of authentication that will do. Left out: any that is named."""
    max_age: Annotated[Duration, Field(ge=1, le=86400)] = 300
    """How long ago the token may have been issued."""
    max_auth_age: Annotated[Duration, Field(ge=1)] = 3600
    """How long ago the person may have authenticated."""
    certificate_bound: bool = False
    """Only tokens that are bound to the client's TLS certificate will do."""


class Issuer(Section):
    """An authorization server whose access tokens are accepted."""

    profile: Literal["keycloak", "rfc9068", "kubernetes", "spiffe", "entra", "okta", "github-actions"]
    """Which kind of authorization server it is, and so what its access tokens look like."""
    issuer: Annotated[str, Field(pattern=r"^(https|spiffe)://[^\s?#]+$", max_length=2048)]
    """The issuer's address; the token's iss must equal it byte for byte. For profile spiffe the trust domain, as
    `spiffe://NAME`: the token's sub is a SPIFFE ID of it."""
    jwks_uri: Annotated[str, Field(pattern=r"^https://[^\s?#]+$", max_length=2048)] | None = None
    """The jwks_uri that the issuer's metadata must name. Needed only where it is not on the issuer's own origin."""
    audience: Name
    """What the token's aud must name: one cluster or trust zone, never one word for the whole company."""
    audience_exclusive: bool = True
    """Refuse tokens whose aud names others as well: a token good at two places can be replayed by one at the other."""
    clients: tuple[Name, ...] = ()
    """Clients whose tokens are accepted (azp), those of agents apart. Required for profiles keycloak, entra (ids of
    applications), okta (cid) and github-actions (ids of the owners of repositories: repository_owner_id)."""
    agents: dict[Name, Agent] = Field(default_factory=dict)
    """Agents that may act for the people of this issuer, by the names that `actor` of a rule has for them."""
    identity: Name
    """Template of the stable key of a person or workload, e.g. `corp:{sub}`. Fields: sub, client, and declared claims
    of type string; with profile kubernetes e.g. `pay:{namespace}:{service_account}:{service_account_uid}`. With more
    than one issuer each must begin with its own literal text."""
    display: Name = "preferred_username"
    """The claim shown to people and written to the audit. Nothing is decided by it."""
    token_roles: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """The path to the token's roles, a name a step. Default: `[roles]`, for keycloak `[realm_access, roles]`."""
    groups: Annotated[tuple[Name, ...], Field(min_length=1)] = ("groups",)
    """The path to the token's groups, a name a step."""
    organizations: Annotated[tuple[Name, ...], Field(min_length=1)] = ("organization",)
    """The path to the token's organizations, a name a step: a list of aliases, or an object that has them as keys."""
    claims: dict[Name, ClaimType] = Field(default_factory=dict)
    """Claims that conditions, templates and SQL may use, with their types: string, int, bool or string_list."""
    behind: dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Where this issuer's tokens are accepted although the HBA line names another: that issuer (its name under
    `issuers`), and the databases, by exact name. `{corp: [appdb]}`"""
    implied_scopes: tuple[Name, ...] = ()
    """Scopes of an HBA line that need not be in this issuer's tokens. For workloads, whose tokens have no scopes; their
    `audience` says what they are for."""
    replaces: Name | None = None
    """The issuer (its name under `issuers`) whose people or workloads move to this one. Both are accepted up to
    `until`; see docs/moving-issuers.md."""
    until: date | None = None
    """With `replaces`: the last day (UTC) on which tokens of the issuer that is replaced are accepted."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "PS256", "ES256", "EdDSA")
    """Signature algorithms that are accepted. ML-DSA (RFC 9964) only if named; see docs/post-quantum.md."""
    insecure_header_typ_jwt: bool = False
    """Accept header typ JWT as well as at+jwt; other kinds of token are then told apart by the payload only."""
    max_lifetime: Annotated[Duration, Field(ge=1, le=86400)] = 900
    """The longest a token may be valid for (exp - iat)."""
    leeway: Annotated[Duration, Field(le=300)] = 10
    """How far the clocks of the issuer, the database server and this service may differ."""
    not_before: datetime | None = None
    """Tokens issued before this moment are refused at once."""
    certificate_bound: bool = False
    """Accept tokens that are bound to the client's TLS certificate (cnf with x5t#S256, RFC 8705), and those only from
    that client, as far as PostgreSQL verified its certificate. Every other cnf is refused."""
    critical: Critical | None = None
    kubernetes: Kubernetes | None = None
    spiffe: Spiffe | None = None
    ca_file: AbsolutePath | None = None
    """Certificates (PEM) that the issuer's TLS is checked with, in place of the system's."""
    introspection: Introspection | None = None
    keys: Keys = Keys()


class Session(Section):
    """When a session ends, unless the client ends it first."""

    until: Literal["sso", "token", "fixed"]
    """`sso`: with the single sign-on session, `token`: with the token, `fixed`: after `max`. In this release `sso`
    means `max`. Sessions of workloads (profiles kubernetes and spiffe) end with the token unless the rule itself says
    otherwise."""
    max: Annotated[Duration, Field(ge=1)]
    """The longest a session may last, whatever `until` says."""


class Defaults(Section):
    """What rules get that do not say otherwise."""

    session: Session


class Audit(Section):
    """Where decisions are recorded."""

    file: Annotated[str, Field(min_length=1)] = "/var/log/pgbearer/audit.jsonl"
    """The file that a line is appended to before each answer, or `-` for standard output. Of one service alone: another
    that is given the same file waits 5 s for the first to end, and then refuses to start."""


class Admin(Section):
    """The admin socket. It is never reachable from a login socket."""

    socket: AbsolutePath = Path("/run/pgbearer/admin/admin.sock")
    """A Unix socket in a folder of its own (0700)."""


class State(Section):
    """What the service keeps from one run to the next."""

    folder: AbsolutePath = Path("/var/lib/pgbearer")
    """A folder of the service's own (0700), made if need be: revocations are kept there. Another takes a restart."""


class Http(Section):
    """The listener for health and metrics. It never answers logins."""

    address: Address = "127.0.0.1:8431"
    """Address and port."""


class Limits(Section):
    """Bounds on what one service takes at a time."""

    token_bytes: Annotated[int, Field(ge=1024, le=65535)] = 32768
    """The longest token, in bytes."""
    in_flight: Annotated[int, Field(ge=1, le=100_000)] = 1024
    """Logins being decided at once; more are refused as `overloaded`. Half of them are dealt out evenly to the servers
    under `servers`, so that none keeps another out; the other half is for whoever comes. Over the network one address
    has no more than that other half, so that an instance leaves its server's share to the others."""
    per_caller_per_second: Annotated[int, Field(ge=1, le=1_000_000)] = 5000
    """Logins a second from one server; more are refused as `overloaded`. Over the network one address has all of it
    while the server's other instances are silent, and leaves them half when they ask."""
    denials_per_identity_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 60
    """Denials of one verified identity that have a line each in the audit: so many a minute, and so many at once. What
    is denied beyond is answered just the same, and counted by identity and reason in lines of kind `aggregate`."""
    cached_tokens: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000
    """Tokens whose verified claims are remembered, each for at most 60 s."""
    asking: Annotated[Duration, Field(ge=1, le=30)] = 3
    """For all questions of a login to deciders together. Shorter than pgbearer.timeout of the database servers."""


class Settings(Section):
    """The whole file."""

    version: Annotated[Literal[1], BeforeValidator(_no_truth)]
    """The version of this format."""
    servers: dict[Name, Server] = Field(default_factory=lambda: {"local": Server()}, min_length=1)
    """Database servers by name. Default: one, `local`."""
    listen: Listen = Listen()
    issuers: dict[Name, Issuer] = Field(min_length=1)
    """Authorization servers by name."""
    deciders: dict[Name, Decider] = Field(default_factory=dict)
    """Who else is asked, by name; rules say whom with `ask`."""
    defaults: Defaults
    rules: tuple[Rule, ...]
    """Who may do what. Deny wins, then any allow, else deny."""
    audit: Audit = Audit()
    admin: Admin = Admin()
    state: State = State()
    http: Http = Http()
    limits: Limits = Limits()
