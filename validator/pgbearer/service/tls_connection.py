"""One connection over the network: a TLS handshake within bounds, whose certificate says who asks, then one exchange.

TLS is the standard library's, fed by hand (`ssl.MemoryBIO`): asyncio's own tells nobody of a connection before its
handshake is over, so unfinished ones could not be counted, and keeps a buffer of 256 KiB for each.
"""

import asyncio
import contextlib
import fcntl
import re
import ssl
import struct
import termios
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, Protocol, cast

from pgbearer.service.exchange import CLOSING_SECONDS, MAX_HEAD_BYTES, Exchange, Peer
from pgbearer.service.whence import whence

__all__ = ["HANDSHAKE_SECONDS", "Doorkeeper", "TlsConnection", "expires_of", "names_of"]

HANDSHAKE_SECONDS: Final = 5.0
"""From connect until both sides have shown their certificates."""
MAX_HANDSHAKE_BYTES: Final = 64 * 1024
"""Certificates and what they are wrapped in; what comes afterwards is bounded as a request is."""
_MOST_OVERHEAD: Final = 64 * 1024
"""Of records around a request, however small they are cut."""
_CHUNK: Final = 64 * 1024
_SPIFFE_ID: Final = re.compile(r"spiffe://[A-Za-z0-9._/-]+")
"""The characters that one may have (SPIFFE-ID.md section 2); the settings see to its form."""
_DNS_NAME: Final = re.compile(r"[A-Za-z0-9._*-]+")
"""Above all without the colon and slashes of a SPIFFE ID, for which its authority may not have vouched."""


class Doorkeeper(Protocol):
    """Who counts connections whose handshake is under way, and hears of those that came to nothing."""

    def came(self, connection: "TlsConnection") -> None:
        """Somebody connected."""
        ...

    def passed(self, connection: "TlsConnection", peer: Peer) -> Exchange:
        """Its handshake is over: the exchange that follows."""
        ...

    def failed(self, connection: "TlsConnection", reason: str, why: str) -> None:
        """It ends without an exchange: `reason` for a metric, `why` for people."""
        ...

    def left(self, connection: "TlsConnection") -> None:
        """It is over, or its handshake is."""
        ...


class TlsConnection(asyncio.Protocol):
    """Meets one connection.

    Args:
        context: what it is met with.
        door: counts it, and makes its exchange.
        max_body: bytes of the largest request.
    """

    def __init__(self, context: ssl.SSLContext, door: Doorkeeper, max_body: int) -> None:
        self.whence = self.address = "?"
        self._door = door
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._came = 0
        self._max_request = max_body + MAX_HEAD_BYTES + _MOST_OVERHEAD
        self._exchange: Exchange | None = None
        self._over = False

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock."""
        self._transport = cast("asyncio.Transport", transport)
        host, port = (self._transport.get_extra_info("peername") or ("?", 0))[:2]
        self.whence, self.address = whence(host), f"{host}:{port}"
        self._timer = asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, self._too_slow)
        self._door.came(self)

    def data_received(self, data: bytes) -> None:
        """Take in records, and pass on what was in them."""
        if self._over:
            return
        self._came += len(data)
        if self._came > MAX_HANDSHAKE_BYTES + self._max_request:
            self.fail("handshake" if self._exchange is None else "request", "more bytes than it may send")
            return
        self._incoming.write(data)
        try:
            if self._exchange is None:
                self._shake_hands()
            if self._exchange is not None:
                for part in self._decrypted():
                    self._exchange.data_received(part)
        except ssl.SSLWantReadError:
            self._flush()
            if self._exchange is None and self._came > MAX_HANDSHAKE_BYTES:  # else a request may have come with its end
                self.fail("handshake", "more bytes than it may send")
        except ssl.SSLError as error:
            self._flush()  # the alert that tells the peer
            self.fail("handshake" if self._exchange is None else "request", _said(error), politely=True)

    def eof_received(self) -> bool:
        """As the exchange decides: whoever has no more to say may still wait for an answer."""
        return self._exchange is not None and self._exchange.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """Stop whatever was under way for it."""
        self._timer.cancel()
        if self._exchange is not None:
            self._exchange.connection_lost(error)
        elif not self._over:
            self._door.failed(self, "handshake", "it left during the handshake")
        self._over = True
        self._door.left(self)

    # our own

    @property
    def unread(self) -> bool:
        """Whether the peer has sent something that has not been taken in."""
        if self._transport.is_closing():
            return False
        connected = self._transport.get_extra_info("socket")
        waiting = bytearray(struct.calcsize("i"))
        fcntl.ioctl(connected.fileno(), termios.FIONREAD, waiting)
        return any(waiting)

    def fail(self, reason: str, why: str, *, politely: bool = False) -> None:
        """End it without an answer; `politely` sends what is still to be sent."""
        if self._over:
            return
        self._over = True
        self._timer.cancel()
        self._door.failed(self, reason, why)
        self._door.left(self)
        if politely:
            self._transport.close()
            self._timer = asyncio.get_running_loop().call_later(CLOSING_SECONDS, self._transport.abort)
        else:
            self._transport.abort()

    def abort(self) -> None:
        """Cut it."""
        self._over = True
        self._transport.abort()

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        if not self._over:
            self._tls.write(data)
            self._flush()

    def close(self) -> None:
        """Say that nothing more comes, so that nobody can cut an answer unseen, and close."""
        if self._over:
            return
        self._over = True
        with contextlib.suppress(ssl.SSLError):  # it waits for the peer to say the same, which we do not
            self._tls.unwrap()
        self._flush()
        self._transport.close()

    def _shake_hands(self) -> None:
        """One step, or the last.

        Raises:
            ssl.SSLWantReadError: the peer's turn.
            ssl.SSLError: it failed.
        """
        self._tls.do_handshake()
        self._flush()
        self._timer.cancel()
        certificate = self._shown()
        peer = Peer(0, -1, -1, names_of(certificate), self.address, self.whence, expires_of(certificate))
        self._exchange = self._door.passed(self, peer)
        self._door.left(self)
        self._exchange.connection_made(_Sealed(self))

    def _shown(self) -> Mapping[str, Any]:
        """The peer's verified certificate."""
        try:
            return self._tls.getpeercert() or {}
        except ValueError:  # a name that is no text is nobody's
            return {}

    def _decrypted(self) -> Iterator[bytes]:
        while not self._over:
            part = self._tls.read(_CHUNK)
            if not part:
                return
            yield part

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._transport.write(data)

    def _too_slow(self) -> None:
        self.fail("slow", f"no handshake in {HANDSHAKE_SECONDS:.0f} s")


class _Sealed(asyncio.Transport):
    """What an exchange writes to."""

    def __init__(self, connection: TlsConnection) -> None:
        super().__init__()
        self._connection = connection

    def write(self, data: Any) -> None:
        self._connection.write(data)

    def close(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        self._connection.abort()


def names_of(certificate: Mapping[str, Any]) -> tuple[str, ...]:
    """What a verified certificate's owner may be known by: its SPIFFE ID alone, or its DNS names in lower case.

    A certificate with another URI, or more than one, is nobody's: X509-SVID.md section 2 wants exactly one. What stands
    among the DNS names and is none is passed over: `servers:` holds SPIFFE IDs and DNS names alike, and neither may be
    had by way of the other, nor a letter by one that Unicode makes the same in lower case.

    Args:
        certificate: as `ssl.SSLObject.getpeercert` decodes it.
    """
    names = certificate.get("subjectAltName", ())
    uris = tuple(name for kind, name in names if kind == "URI")
    if uris:
        return uris if len(uris) == 1 and _SPIFFE_ID.fullmatch(uris[0]) else ()
    return tuple(name.lower() for kind, name in names if kind == "DNS" and _DNS_NAME.fullmatch(name))


def expires_of(certificate: Mapping[str, Any]) -> float | None:
    """Until when it is good, epoch seconds; None if it does not say so in a form that is known.

    Args:
        certificate: as for `names_of`.
    """
    return _epoch(str(certificate.get("notAfter", "")))


@lru_cache(maxsize=64)
def _epoch(text: str) -> float | None:
    """The few servers that there are show the same again and again."""
    try:
        return float(ssl.cert_time_to_seconds(text))
    except ValueError:
        return None


def _said(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate: {error.verify_message}"
    return (error.reason or "no TLS").replace("_", " ").lower()
