"""The first words with a client: encryption declined, its startup packet, and over TCP the proof of the secret."""

import struct
from typing import Final

from pgbearer.client.proxy.messages import message
from pgbearer.client.proxy.refusal import RefusedError
from pgbearer.client.proxy.scram import MECHANISM, ScramExchange, ScramVerifier
from pgbearer.client.proxy.startup import MAX_STARTUP_BYTES, Cancel, Encryption, Startup, read_first
from pgbearer.client.proxy.wire import Wire

__all__ = ["greet"]

_TLS_HANDSHAKE: Final = b"\x16"  # the first byte of a record that holds a ClientHello (RFC 8446 section 5.1)
_NO_TLS_HERE: Final = bytes.fromhex("15 03 01 00 02 02 28")  # alert, fatal, handshake_failure
_MAX_PROOF: Final = 2_048  # bytes of a SASL message; PG_MAX_SASL_MESSAGE_LENGTH allows 64 KiB, SCRAM needs 200
_SASL, _SASL_CONTINUE, _SASL_FINAL = 10, 11, 12


async def greet(wire: Wire, verifier: ScramVerifier | None) -> Startup | Cancel | None:
    """Hear what a client wants.

    Args:
        wire: to the client.
        verifier: of the secret that it has to prove; None where the kernel has said who it is.

    Returns:
        None if it left, or spoke TLS, which there is none of on this side.

    Raises:
        RefusedError: it may not come in.
        MessageError: it does not speak the protocol.
    """
    declined: set[Encryption] = set()
    if await wire.first_bytes(1) == _TLS_HANDSHAKE:
        wire.write(_NO_TLS_HERE)
        return None
    while (body := await wire.packet(MAX_STARTUP_BYTES)) is not None:
        asked = read_first(body)
        if not isinstance(asked, Encryption):
            if verifier is not None and isinstance(asked, Startup):
                await _prove(wire, verifier)
            return asked
        if asked in declined:
            raise RefusedError("08P01", "encryption was declined once already")
        declined.add(asked)
        wire.write(b"N")
    return None


async def _prove(wire: Wire, verifier: ScramVerifier) -> None:
    exchange = ScramExchange(verifier)
    wire.write(_authentication(_SASL, MECHANISM.encode() + b"\0\0"))
    said = await _sasl(wire)
    name, _, rest = said.partition(b"\0")
    if name != MECHANISM.encode() or len(rest) < 4 or struct.unpack_from("!i", rest)[0] != len(rest) - 4:
        raise RefusedError("08P01", "malformed SASL message")
    wire.write(_authentication(_SASL_CONTINUE, exchange.begin(rest[4:])))
    wire.write(_authentication(_SASL_FINAL, exchange.finish(await _sasl(wire))))


async def _sasl(wire: Wire) -> bytes:
    said = await wire.message(_MAX_PROOF)
    if said is None or said.kind != b"p":
        raise RefusedError("08P01", "expected a SASL message")
    return said.body


def _authentication(code: int, data: bytes) -> bytes:
    return message(b"R", struct.pack("!i", code) + data)
