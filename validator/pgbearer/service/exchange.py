"""HTTP/1.1 with one exchange a connection, bounded in bytes and time; the login and the admin socket share it.

Parsing is httptools' (llhttp); what is here is bounds, and that every way out is an answer or a cut.
"""

import asyncio
import socket
import struct
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol, cast

import httptools

from pgbearer.service.logs import log_error

__all__ = ["MAX_HEAD_BYTES", "Exchange", "Exchanges", "Handler", "Peer", "Request", "Response"]

MAX_HEAD_BYTES: Final = 8 * 1024
"""Of a request, its line included."""

REQUEST_SECONDS: Final = 5.0
"""From connect until the request is complete; a backend sends it in one go."""

CLOSING_SECONDS: Final = 2.0
"""For the last bytes of an answer to leave: whoever does not read them would else keep its place for ever."""

_PHRASES: Final = {
    200: b"OK",
    400: b"Bad Request",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    411: b"Length Required",
    413: b"Content Too Large",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end: of a Unix socket as the kernel knows it (SO_PEERCRED, unix(7)), else by certificate."""

    pid: int
    uid: int
    """-1 over the network."""
    gid: int
    names: tuple[str, ...] = ()
    """Over the network: what the verified certificate says that it may be known by, a SPIFFE ID or DNS names."""
    address: str | None = None
    """Over the network: its address and port."""
    whence: str | None = None
    """Over the network: what one sender has of addresses, for limits (`pgbearer.service.whence`)."""
    expires: float | None = None
    """Over the network: until when that certificate is good, epoch seconds."""

    @classmethod
    def of(cls, transport: asyncio.BaseTransport) -> "Peer":
        """Who is connected."""
        connected = transport.get_extra_info("socket")
        return cls(*struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """A complete request. Has no repr of its own, because the body may hold a token."""

    method: str
    target: str
    body: bytes
    peer: Peer


@dataclass(frozen=True, slots=True)
class Response:
    """An answer in JSON."""

    status: int
    body: bytes

    def encode(self) -> bytes:
        """Head and body."""
        head = b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        return head % (self.status, _PHRASES[self.status], len(self.body)) + self.body


class Handler(Protocol):
    """What a listener does with its connections. All methods are called on the event loop."""

    max_body: int
    """Bytes."""

    def connected(self, exchange: "Exchange") -> Response | None:
        """Somebody connected. A response refuses whatever they will ask."""
        ...

    def heard(self, method: str, target: str, peer: Peer) -> Response | None:
        """The head is complete. A response refuses without reading the body."""
        ...

    async def respond(self, request: Request) -> Response:
        """Answer a complete request; an exception is answered with `fault(500)`."""
        ...

    def fault(self, status: int, why: str, peer: Peer) -> Response:
        """The request of `peer` is none, for `why`; the answer to that."""
        ...

    def disconnected(self, exchange: "Exchange") -> None:
        """The connection that `connected` announced is over."""
        ...


class Exchanges:
    """The connections of a listener that are under way."""

    def __init__(self) -> None:
        self._live: set[Exchange] = set()
        self._none_left = asyncio.Event()
        self._none_left.set()

    def add(self, exchange: "Exchange") -> None:
        """A connection began."""
        self._live.add(exchange)
        self._none_left.clear()

    def discard(self, exchange: "Exchange") -> None:
        """A connection is over."""
        self._live.discard(exchange)
        if not self._live:
            self._none_left.set()

    async def drained(self, seconds: float) -> None:
        """Wait until all are over; after `seconds`, cut the rest."""
        try:
            await asyncio.wait_for(self._none_left.wait(), seconds)
        except TimeoutError:
            for exchange in tuple(self._live):
                exchange.abort()


class _Stage(Enum):
    HEAD = auto()
    BODY = auto()
    WHOLE = auto()
    ANSWERING = auto()
    OVER = auto()


class Exchange(asyncio.Protocol):
    """One connection: read one request within bounds, answer it, close.

    Args:
        handler: of the listener.
        live: where the connection is counted while it lasts.
        peer: who is connected; None if the kernel is to say, which it can of a Unix socket.
    """

    def __init__(self, handler: Handler, live: Exchanges, peer: Peer | None = None) -> None:
        self.peer = peer or Peer(0, -1, -1)
        self._introduced = peer is not None
        self._handler = handler
        self._live = live
        self._parser = httptools.HttpRequestParser(self)
        self._stage = _Stage.HEAD
        self._fed = 0
        self._head_bytes = 0
        self._length = 0
        self._target = b""
        self._body: list[bytes] = []
        self._refusal: Response | None = None
        self._task: asyncio.Task[None] | None = None

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out who it is, and start the clock."""
        self._transport = cast("asyncio.Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(REQUEST_SECONDS, self._too_slow)
        if not self._introduced:
            self.peer = Peer.of(transport)
        self._live.add(self)
        self._refusal = self._handler.connected(self)

    def data_received(self, data: bytes) -> None:
        """Take in a part of the request."""
        if self._stage is _Stage.ANSWERING:
            self.abort()  # nobody who keeps to one exchange sends more
            return
        if self._stage is _Stage.OVER:
            return
        if self._refusal is None:
            self._feed(data)
        if self._refusal is not None:
            self._finish(self._refusal)
        elif self._stage is _Stage.WHOLE:
            self._stage = _Stage.ANSWERING
            self._timer.cancel()
            self._task = asyncio.get_running_loop().create_task(self._answer())

    def eof_received(self) -> bool:
        """A peer that has no more to say may still wait for its answer."""
        return self._stage is _Stage.ANSWERING

    def connection_lost(self, error: Exception | None) -> None:
        """Stop whatever was under way for it."""
        self._stage = _Stage.OVER
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        self._live.discard(self)
        self._handler.disconnected(self)

    # what the parser calls; an exception here would be lost in it, so a refusal is kept instead

    def on_url(self, part: bytes) -> None:
        """A part of the request target."""
        if self._stage is not _Stage.HEAD:
            self._refuse(400, "one request a connection")
        self._count(len(part))
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._count(len(name) + len(value) + len(": \r\n"))
        match name.lower():
            case b"transfer-encoding":
                self._refuse(411, "a Content-Length is required, not a Transfer-Encoding")
            case b"content-length":
                self._length = int(value)  # the parser has seen that it is a number

    def on_headers_complete(self) -> None:
        """The head is whole: refuse what need not be read."""
        if self._length > self._handler.max_body:
            self._refuse(413, f"the body is larger than {self._handler.max_body} bytes")
        self._refusal = self._refusal or self._handler.heard(self._method, self._path, self.peer)
        self._stage = _Stage.BODY

    def on_body(self, part: bytes) -> None:
        """A part of the body, of which no more comes than Content-Length says."""
        if self._refusal is None:
            self._body.append(part)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._stage = _Stage.WHOLE

    # our own

    def abort(self) -> None:
        """Cut the connection without an answer."""
        self._stage = _Stage.OVER
        self._transport.abort()

    @property
    def _method(self) -> str:
        return self._parser.get_method().decode("ascii")

    @property
    def _path(self) -> str:
        return self._target.decode("ascii", "replace")

    def _feed(self, data: bytes) -> None:
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(400, "not HTTP/1.1 as it should be")
        if self._stage is _Stage.HEAD and self._fed > MAX_HEAD_BYTES:
            self._refuse(431, "the head is too large")  # in the middle of a header, which has not been counted

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, "the head is too large")

    def _refuse(self, status: int, why: str) -> None:
        if self._refusal is None:
            self._refusal = self._handler.fault(status, why, self.peer)

    def _too_slow(self) -> None:
        self._finish(self._refusal or self._handler.fault(408, "the request took too long", self.peer))

    async def _answer(self) -> None:
        request = Request(self._method, self._path, b"".join(self._body), self.peer)
        try:
            response = await self._handler.respond(request)
        except Exception as error:  # noqa: BLE001 - a peer that waits gets an answer, and it is no decision
            log_error("answering a request failed", error)
            response = self._handler.fault(500, "internal error", self.peer)
        self._finish(response)

    def _finish(self, response: Response) -> None:
        self._stage = _Stage.OVER
        self._timer.cancel()
        self._transport.write(response.encode())
        self._transport.close()
        self._timer = asyncio.get_running_loop().call_later(CLOSING_SECONDS, self.abort)
