"""What the module asks: the login request of protocol version 1 as values.

The token travels apart from the rest (`LoginRequest.token` and `LoginRequest.access`), so that policy, audit and
explain can be given the request without ever being given the token.
"""

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "AccessRequest",
    "Backend",
    "Client",
    "Hba",
    "LoginRequest",
    "Replication",
    "RoleAttributes",
    "ServerInfo",
    "Tls",
]


class Replication(StrEnum):
    """Whether the connection asks for replication."""

    NONE = "none"
    LOGICAL = "logical"
    PHYSICAL = "physical"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleAttributes:
    """What the catalog says of the requested role. Privilege is judged by this, never by a name."""

    exists: bool
    superuser: bool = False
    replication: bool = False
    createrole: bool = False
    createdb: bool = False
    bypassrls: bool = False
    member_of: frozenset[str] = frozenset()
    """Predefined privileged roles (``pg_execute_server_program`` ...) that the role is a member of."""

    @property
    def privileged(self) -> bool:
        """True if any attribute or membership lifts the role above an ordinary one."""
        return bool(
            self.superuser or self.replication or self.createrole or self.createdb or self.bypassrls or self.member_of
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hba:
    """The HBA line that led here."""

    issuer: str
    scopes: tuple[str, ...]
    delegate: bool
    map: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The client's TLS to PostgreSQL; `client_cert_sha256` (hex) only if PostgreSQL verified the certificate."""

    version: str
    cipher: str
    client_cert_sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Where the client connects from. `address` is numeric, or None over a Unix socket."""

    address: str | None
    port: int | None
    tls: Tls | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """The database server as it describes itself; who it *is* comes from the peer of the connection."""

    instance: str
    system_identifier: str
    start: int
    """Epoch milliseconds."""
    in_recovery: bool
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The server process that serves this login; `start` in epoch milliseconds."""

    pid: int
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """Everything that is asked, without the token."""

    request_id: str
    now: int
    """The server's clock, epoch milliseconds."""
    role: str
    role_attributes: RoleAttributes
    database: str
    replication: Replication
    hba: Hba
    client: Client
    application_name: str | None
    """What the client merely claims (``unverified.application_name``)."""
    server: ServerInfo
    backend: Backend


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """One login as it came over the socket."""

    version: int
    token: str
    access: AccessRequest

    def __repr__(self) -> str:
        """The request with the token's length in place of the token."""
        return f"LoginRequest(version={self.version}, token=<{len(self.token)} characters>, access={self.access!r})"
