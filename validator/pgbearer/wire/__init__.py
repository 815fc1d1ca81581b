"""The login request and answer, versioned (docs/protocol.md)."""

from pgbearer.wire.answer import Allowed, Answer, Refused
from pgbearer.wire.decode import MAX_REQUEST_BYTES, Echo, RequestError, decode_request
from pgbearer.wire.encode import echo_of, encode_answer, encode_fault, encode_request
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
from pgbearer.wire.version import OLDEST_VERSION, VERSION

__all__ = [
    "MAX_REQUEST_BYTES",
    "OLDEST_VERSION",
    "VERSION",
    "AccessRequest",
    "Allowed",
    "Answer",
    "Backend",
    "Client",
    "Echo",
    "Hba",
    "LoginRequest",
    "Reason",
    "Refused",
    "Replication",
    "RequestError",
    "RoleAttributes",
    "ServerInfo",
    "Tls",
    "decode_request",
    "echo_of",
    "encode_answer",
    "encode_fault",
    "encode_request",
]
