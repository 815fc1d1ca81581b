"""pgbearer.yaml as typed settings: what each key means, its default and its bounds.

Decoding says what is *shaped* right; whether conditions and templates make sense is `pgbearer.policy.compile`'s to say.
"""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "Admin",
    "Audit",
    "ClaimType",
    "Defaults",
    "Duration",
    "Http",
    "Issuer",
    "Keys",
    "Limits",
    "RolesFrom",
    "Rule",
    "Server",
    "Session",
    "Settings",
]

ClaimType = Literal["string", "int", "bool", "string_list"]
Name = Annotated[str, Field(min_length=1, max_length=128)]


def _seconds(value: object) -> object:
    """``90s``, ``15m``, ``10h``, ``7d`` as seconds; anything else is left for the type check to refuse."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if isinstance(value, str) and value[:-1].isascii() and value[:-1].isdigit() and value[-1:] in units:
        return int(value[:-1]) * units[value[-1]]
    raise ValueError("must be a duration such as 30s, 15m, 10h or 7d")


Duration = Annotated[int, BeforeValidator(_seconds), Field(ge=0, le=366 * 86400)]
"""Seconds, written as ``30s``, ``15m``, ``10h`` or ``7d``."""


class _Section(BaseModel):
    """Strict and closed: no coercion, no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True, validate_default=False)


class Server(_Section):
    """A PostgreSQL server that may ask, known by the uid of its process."""

    socket: Annotated[Path, Field(strict=False)] = Path("/run/pgbearer/login/login.sock")
    uid: int | str = "postgres"
    """The uid that PostgreSQL runs as, or its name."""
    group: int | str | None = None
    """The group that may reach the socket; default: the primary group of `uid`."""


class Keys(_Section):
    """How an issuer's signing keys are kept fresh, and how long old ones last."""

    refresh: Duration = 300
    max_stale: Duration = 3600
    max_stale_critical: Duration = 600
    deny: tuple[str, ...] = ()
    """Key ids (kid) that are refused at once."""


class Issuer(_Section):
    """An authorization server whose access tokens are accepted."""

    profile: Literal["keycloak", "rfc9068"]
    issuer: Annotated[str, Field(pattern=r"^https://[^\s?#]+$", max_length=2048)]
    """Compared byte for byte with the token's iss."""
    jwks_uri: Annotated[str, Field(pattern=r"^https://[^\s?#]+$", max_length=2048)] | None = None
    """The jwks_uri to expect in the issuer's metadata; needed only where it is not on the issuer's own origin."""
    audience: Name
    audience_exclusive: bool = True
    clients: tuple[Name, ...] = ()
    """azp allowlist; required for profile keycloak."""
    identity: Name
    """Template of the stable key, e.g. ``corp:{sub}``."""
    display: str = "preferred_username"
    token_roles: tuple[Name, ...] | None = None
    """Path to the list of roles; default by profile (keycloak: realm_access, roles; rfc9068: roles)."""
    groups: tuple[Name, ...] = ("groups",)
    claims: dict[Name, ClaimType] = Field(default_factory=dict)
    databases: tuple[Name, ...] = ()
    """Databases to which this issuer is opened although the HBA line names another issuer."""
    algorithms: tuple[
        Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"], ...
    ] = (
        "RS256",
        "PS256",
        "ES256",
        "EdDSA",
    )
    insecure_header_typ_jwt: bool = False
    """Accept header typ JWT as well as at+jwt; other kinds of token are then told apart by the payload only."""
    max_lifetime: Annotated[Duration, Field(ge=1)] = 900
    leeway: Annotated[Duration, Field(le=300)] = 10
    not_before: datetime | None = None
    """Tokens issued before this moment are refused."""
    ca_file: Annotated[Path, Field(strict=False)] | None = None
    keys: Keys = Keys()


class Session(_Section):
    """When a session ends: with the sign-on session, with the token, or after a fixed time; never later than `max`."""

    until: Literal["sso", "token", "fixed"]
    max: Annotated[Duration, Field(ge=1)]


class Defaults(_Section):
    """What rules get that do not say otherwise."""

    session: Session


class RolesFrom(_Section):
    """Database roles named by the token itself: one rule for many teams."""

    claim: Name
    strip: str = ""


class Rule(_Section):
    """Who gets which role in which database, or is denied. All that is said must hold."""

    name: Name
    deny: bool = False
    servers: tuple[Name, ...] = ()
    issuers: tuple[Name, ...] = ()
    databases: tuple[Name, ...] = ()
    roles: tuple[Name, ...] = ()
    roles_from: RolesFrom | None = None
    any_role: tuple[Name, ...] = ()
    all_roles: tuple[Name, ...] = ()
    any_group: tuple[Name, ...] = ()
    from_: Annotated[tuple[str, ...], Field(alias="from")] = ()
    when: str | None = None
    session: Session | None = None
    privileged: bool = False
    replication: tuple[Literal["logical", "physical"], ...] = ()
    expires: date | None = None
    ticket: str | None = None


class Audit(_Section):
    """Where decisions are recorded: a file, or ``-`` for standard output."""

    file: str = "/var/log/pgbearer/audit.jsonl"


class Admin(_Section):
    """The admin socket, in a folder of its own (0700)."""

    socket: Annotated[Path, Field(strict=False)] = Path("/run/pgbearer/admin/admin.sock")


class Http(_Section):
    """The listener for health and metrics. It never answers logins."""

    address: Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$")] = "127.0.0.1:8431"


class Limits(_Section):
    """Bounds on what one service takes at a time."""

    token_bytes: Annotated[int, Field(ge=1024, le=65535)] = 32768
    in_flight: Annotated[int, Field(ge=1, le=100_000)] = 1024
    per_caller_per_second: Annotated[int, Field(ge=1, le=1_000_000)] = 5000
    cached_tokens: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000


class Settings(_Section):
    """The whole file."""

    version: Literal[1]
    servers: dict[Name, Server] = Field(default_factory=lambda: {"local": Server()}, min_length=1)
    issuers: dict[Name, Issuer] = Field(min_length=1)
    defaults: Defaults
    rules: tuple[Rule, ...]
    audit: Audit = Audit()
    admin: Admin = Admin()
    http: Http = Http()
    limits: Limits = Limits()
