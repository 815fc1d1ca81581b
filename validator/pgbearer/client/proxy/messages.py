"""PostgreSQL's frontend/backend protocol as far as a login goes: bytes to messages and back, without I/O.

Everything after the login passes unread. Source: PostgreSQL's documentation, "Message Formats"; protocol/pqcomm.h.
"""

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = [
    "AUTHENTICATION_OK",
    "CANCEL_REQUEST",
    "GSSENC_REQUEST",
    "READY",
    "SSL_REQUEST",
    "TERMINATE",
    "Message",
    "MessageError",
    "cancel_packet",
    "key_of",
    "message",
    "negotiated_minor",
    "packet",
    "parameter_status",
    "take_message",
    "take_packet",
]

CANCEL_REQUEST: Final = 80877102
SSL_REQUEST: Final = 80877103
GSSENC_REQUEST: Final = 80877104

_LENGTH: Final = struct.Struct("!i")
_HEAD: Final = struct.Struct("!ci")


class MessageError(Exception):
    """What the other side sent is no message of this protocol, or is longer than it may be."""


class Message(NamedTuple):
    """One message of a connection that is past its startup packet. Has no secret-free repr: do not log it."""

    kind: bytes
    body: bytes

    def encode(self) -> bytes:
        """As it is sent."""
        return message(self.kind, self.body)

    def __repr__(self) -> str:
        return f"<Message {self.kind!r} of {len(self.body)} bytes>"


def message(kind: bytes, body: bytes = b"") -> bytes:
    """A message: its kind, its length with itself, its body."""
    return _HEAD.pack(kind, len(body) + 4) + body


def packet(body: bytes) -> bytes:
    """What comes before the first message, which has no kind: a startup packet or a request in its place."""
    return _LENGTH.pack(len(body) + 4) + body


AUTHENTICATION_OK: Final = message(b"R", _LENGTH.pack(0))
TERMINATE: Final = message(b"X")
READY: Final = tuple(message(b"Z", state) for state in (b"I", b"T", b"E"))
"""ReadyForQuery: idle, in a transaction, in a failed one."""


def cancel_packet(pid: int, key: bytes) -> bytes:
    """CancelRequest: the key that BackendKeyData named."""
    return packet(struct.pack("!ii", CANCEL_REQUEST, pid) + key)


def take_packet(buffer: bytearray, limit: int) -> bytes | None:
    """Take a packet without a kind off the front of `buffer`: its body, or None while it is not all there.

    Raises:
        MessageError: its length is below 8 (a length and a code), or above `limit` bytes.
    """
    if len(buffer) < 4:
        return None
    (length,) = _LENGTH.unpack_from(buffer)
    if not 8 <= length <= limit:
        raise MessageError(f"a startup packet of {length} bytes")
    if len(buffer) < length:
        return None
    body = bytes(buffer[4:length])
    del buffer[:length]
    return body


def take_message(buffer: bytearray, limit: int) -> Message | None:
    """Take a message off the front of `buffer`, or None while it is not all there.

    Raises:
        MessageError: its length cannot be, or is above `limit` bytes.
    """
    if len(buffer) < 5:
        return None
    kind, length = _HEAD.unpack_from(buffer)
    if not 4 <= length <= limit:
        raise MessageError(f"a message {kind!r} of {length} bytes")
    if len(buffer) < 1 + length:
        return None
    body = bytes(buffer[5 : 1 + length])
    del buffer[: 1 + length]
    return Message(kind, body)


def key_of(body: bytes) -> tuple[int, bytes]:
    """BackendKeyData's process id and key: 4 bytes in protocol 3.0, up to 256 from 3.2 on.

    Raises:
        MessageError: it is malformed.
    """
    if not 8 <= len(body) <= 4 + 256:
        raise MessageError(f"a cancel key of {len(body) - 4} bytes")
    return _LENGTH.unpack_from(body)[0], body[4:]


def negotiated_minor(body: bytes) -> int:
    """The newest minor version that a NegotiateProtocolVersion offers.

    Raises:
        MessageError: it is malformed, or of another major version.
    """
    if len(body) < 8:
        raise MessageError("a version negotiation that is cut off")
    (version,) = _LENGTH.unpack_from(body)
    if version >> 16 not in (0, 3):  # the documentation says minor, the server sends both (pqcomm.h)
        raise MessageError(f"an offer of protocol {version >> 16}")
    return int(version & 0xFFFF)


def parameter_status(body: bytes) -> Mapping[str, str]:
    """ParameterStatus: one name and its value.

    Raises:
        MessageError: it is malformed.
    """
    parts = body.split(b"\0")
    if len(parts) != 3 or parts[2]:
        raise MessageError("a parameter that is no name and value")
    return {parts[0].decode(errors="replace"): parts[1].decode(errors="replace")}
