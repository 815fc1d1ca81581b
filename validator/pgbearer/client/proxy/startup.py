"""What a client says first: a startup packet, or one of the requests that may stand in its place. No I/O."""

import struct
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from pgbearer.client.proxy.messages import CANCEL_REQUEST, GSSENC_REQUEST, SSL_REQUEST, packet
from pgbearer.client.proxy.refusal import RefusedError

__all__ = ["MAX_STARTUP_BYTES", "Cancel", "Encryption", "Startup", "read_first"]

MAX_STARTUP_BYTES: Final = 10_000
"""MAX_STARTUP_PACKET_LENGTH (libpq/pqcomm.h), the length word included."""

_MAX_CANCEL_KEY: Final = 256
_ALONE: Final = (b"user", b"database", b"replication")


class Encryption(Enum):
    """The client asks whether it may encrypt; answered in one byte."""

    TLS = SSL_REQUEST
    GSS = GSSENC_REQUEST


@dataclass(frozen=True, slots=True)
class Cancel:
    """The client wants the query stopped of whoever was given this key."""

    pid: int
    key: bytes

    def __repr__(self) -> str:
        return f"<Cancel of {self.pid}>"


@dataclass(frozen=True, slots=True)
class Startup:
    """A startup packet. Names and values are bytes, as there is no encoding yet."""

    version: int
    """Major in the upper 16 bits, minor in the lower."""
    parameters: tuple[tuple[bytes, bytes], ...]
    """In the order of the packet, protocol options (``_pq_.``) among them."""

    @property
    def minor(self) -> int:
        """The minor version asked for."""
        return self.version & 0xFFFF

    @property
    def user(self) -> bytes:
        """The role; never empty."""
        return self.value(b"user") or b""

    @property
    def database(self) -> bytes:
        """The database; the user's name where the packet leaves it out (ProcessStartupPacket, backend_startup.c)."""
        return self.value(b"database") or self.user

    @property
    def replication(self) -> bytes | None:
        """What it says of replication, or None."""
        return self.value(b"replication")

    def value(self, name: bytes) -> bytes | None:
        """The value of a parameter, or None."""
        return next((value for known, value in self.parameters if known == name), None)

    def with_value(self, name: bytes, value: bytes) -> "Startup":
        """The same with one parameter replaced or added."""
        others = tuple(pair for pair in self.parameters if pair[0] != name)
        return replace(self, parameters=((name, value), *others))

    def encode(self) -> bytes:
        """As it is sent."""
        pairs = b"".join(name + b"\0" + value + b"\0" for name, value in self.parameters)
        return packet(struct.pack("!i", self.version) + pairs + b"\0")


def read_first(body: bytes) -> Startup | Cancel | Encryption:
    """What the body of a client's first packet is.

    Raises:
        RefusedError: it is none that this proxy serves.
    """
    (code,) = struct.unpack_from("!i", body)
    if code in (SSL_REQUEST, GSSENC_REQUEST):
        if len(body) != 4:
            raise RefusedError("08P01", "invalid request for encryption")
        return Encryption(code)
    if code == CANCEL_REQUEST:
        if not 8 + 4 <= len(body) <= 8 + _MAX_CANCEL_KEY:
            raise RefusedError("08P01", "invalid length of cancel request")
        return Cancel(struct.unpack_from("!i", body, 4)[0], body[8:])
    if code >> 16 != 3:
        raise RefusedError("0A000", f"unsupported frontend protocol {code >> 16 & 0xFFFF}.{code & 0xFFFF}")
    return _startup(code, body[4:])


def _startup(version: int, body: bytes) -> Startup:
    words = body.split(b"\0")
    # "a\0b\0\0" splits into a, b and two empty ends
    if len(words) < 2 or words[-1] or words[-2] or len(words) % 2:
        raise RefusedError("08P01", "invalid startup packet layout: expected terminator as last byte")
    pairs = tuple(zip(words[:-2:2], words[1:-2:2], strict=True))
    names = [name for name, _ in pairs]
    if not all(names):
        raise RefusedError("08P01", "invalid startup packet layout: a parameter without a name")
    if any(names.count(name) > 1 for name in _ALONE):
        raise RefusedError("08P01", "the startup packet names its user, database or replication twice")
    startup = Startup(version, pairs)
    if not startup.user:
        raise RefusedError("28000", "no PostgreSQL user name specified in startup packet")
    return startup
