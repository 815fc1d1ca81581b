"""The login request and answer, versioned (docs/protocol.md)."""

from pgbearer.wire.answer import Allowed, Answer, Refused
from pgbearer.wire.reason import Reason
from pgbearer.wire.request import (
    AccessRequest,
    Backend,
    Client,
    Hba,
    LoginRequest,
    Replication,
    RoleAttributes,
    ServerInfo,
    Tls,
)

__all__ = [
    "AccessRequest",
    "Allowed",
    "Answer",
    "Backend",
    "Client",
    "Hba",
    "LoginRequest",
    "Reason",
    "Refused",
    "Replication",
    "RoleAttributes",
    "ServerInfo",
    "Tls",
]
