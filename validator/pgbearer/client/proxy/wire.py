"""One end of a connection: first read message by message, then joined to another end, bytes in, bytes out."""

import asyncio
import select
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

from pgbearer.client.proxy.messages import TERMINATE, Message, take_message, take_packet
from pgbearer.client.proxy.tls_stream import TlsStream

__all__ = ["Wire", "Workspace"]

_MOST_UNREAD: Final = 128 * 1024  # bytes kept before the login is over; more stays in the kernel
_AT_ONCE: Final = 128 * 1024  # bytes read in one go
_TAIL: Final = 6  # bytes of a ReadyForQuery


@dataclass(frozen=True, slots=True)
class Workspace:
    """What the wires of one event loop share: a clock, and room to read into, which idle ones would only hold empty."""

    clock: Callable[[], float]
    """Seconds on a clock that never jumps."""
    received: bytearray = field(default_factory=lambda: bytearray(_AT_ONCE), repr=False)
    decrypted: bytearray = field(default_factory=lambda: bytearray(_AT_ONCE), repr=False)


class Wire(asyncio.BufferedProtocol):
    """The proxy's side of one socket.

    Until `join`, messages are awaited one by one, and no more is read ahead than a login may have. Afterwards each
    chunk that comes in goes out at the other end at once, and reading stops while the other end cannot write
    (back-pressure): what is kept is bounded by the transport's write buffer.

    Of one event loop. Only one task may await messages.

    Args:
        when_lost: called once when the connection is over.
        space: of the event loop.
    """

    def __init__(self, when_lost: Callable[["Wire"], None], space: Workspace) -> None:
        self._when_lost = when_lost
        self._space = space
        self._unread = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._other: Wire | None = None
        self._tls: TlsStream | None = None
        self._secured = False
        self._finished = False
        self._half_close = False
        self._transport: asyncio.Transport | None = None
        self.ended = False
        """No more bytes will come."""
        self.lost = False
        """The connection is over, both ways."""
        self.last_byte = space.clock()
        """When the last byte came in."""
        self.tail = b""
        """The last few bytes that came in since `join`."""
        self.spoke_last = False
        """Whether, of the two ends that are joined, this one sent the last bytes."""

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As `asyncio.BaseProtocol.connection_made`."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> bytearray:
        """As `asyncio.BufferedProtocol.get_buffer`: the room of all; it is empty again before anybody else reads."""
        return self._space.received

    def buffer_updated(self, nbytes: int) -> None:
        """As `asyncio.BufferedProtocol.buffer_updated`."""
        self.last_byte = self._space.clock()
        received = memoryview(self._space.received)[:nbytes]
        if self._tls is None:
            self._came(bytes(received))
            return
        self._tls.feed(received)
        if self._secured:
            self._decrypt(self._tls)
        else:
            self._wake()

    def eof_received(self) -> bool:
        """As `asyncio.BaseProtocol.eof_received`."""
        return self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """As `asyncio.BaseProtocol.connection_lost`."""
        self.ended = self.lost = True
        self._wake()
        self._when_lost(self)

    def pause_writing(self) -> None:
        """As `asyncio.BaseProtocol.pause_writing`."""
        if self._other is not None and not self._other.lost:
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        """As `asyncio.BaseProtocol.resume_writing`."""
        if self._other is not None and not self._other.lost:
            self._other.transport.resume_reading()

    # the proxy's side

    @property
    def transport(self) -> asyncio.Transport:
        """What carries it."""
        if self._transport is None:
            raise RuntimeError("not connected")
        return self._transport

    @property
    def has_unread(self) -> bool:
        """Whether bytes came in that nobody has asked for."""
        return bool(self._unread)

    @property
    def is_between_queries(self) -> bool:
        """Whether the last thing that came in looks like a ReadyForQuery (``Z``, length 5, a state)."""
        return self.tail[:5] == b"Z\0\0\0\5" and self.tail[5:] in (b"I", b"T", b"E")

    @property
    def has_terminated(self) -> bool:
        """Whether the last thing that came in looks like a Terminate, after which the other side wants no answer."""
        return self.tail.endswith(TERMINATE)

    def write(self, data: bytes) -> None:
        """Send `data`, or nothing if the connection is over or has been told that no more will be sent."""
        if not self.lost and not self._finished:
            self.transport.write(data if self._tls is None else self._tls.encrypt(data))

    def write_eof(self) -> None:
        """Say that no more will be sent; the other side may still send."""
        if not self.lost and not self._finished:
            self._finished = True
            if self._tls is None:
                self.transport.write_eof()
            else:
                self.transport.write(self._tls.finish())

    async def secure(self, tls: TlsStream) -> None:
        """Encrypt from here on, once the handshake is done.

        Raises:
            ssl.SSLError: it failed; ConnectionError if the other side went away.
        """
        self._tls = tls
        try:
            while not tls.handshake():
                self.transport.write(tls.outgoing())
                await self._more()
                if self.ended:
                    raise ConnectionResetError("the other side went away during the TLS handshake")
        finally:
            if not self.lost:
                self.transport.write(tls.outgoing())
        self._secured = True
        self._decrypt(tls)

    async def byte(self) -> bytes:
        """One byte; empty at the end."""
        await self._at_least(1)
        one = bytes(self._unread[:1])
        del self._unread[:1]
        return one

    async def first_bytes(self, count: int) -> bytes:
        """What the next `count` bytes are, without taking them; fewer at the end."""
        await self._at_least(count)
        return bytes(self._unread[:count])

    async def packet(self, limit: int) -> bytes | None:
        """The body of a packet without a kind; None at the end. Raises MessageError."""
        while (taken := take_packet(self._unread, limit)) is None and not self.ended:
            await self._more()
        return taken

    async def message(self, limit: int) -> Message | None:
        """A message; None at the end. Raises MessageError."""
        while (taken := take_message(self._unread, limit)) is None and not self.ended:
            await self._more()
        return taken

    def join(self, other: "Wire", most_kept: int, *, half_close: bool) -> None:
        """From now on what comes in goes out at `other`; call it on both ends.

        Args:
            other: the other end.
            most_kept: how many bytes may wait to be sent here before `other` is not read any more.
            half_close: whether this side may say its last word and still be answered. Clients may; a server that
                says no more has gone.
        """
        self._other = other
        self._half_close = half_close
        self.transport.set_write_buffer_limits(most_kept)
        if self._unread:
            early = bytes(self._unread)
            self._unread = bytearray()
            self._came(early)
        self.transport.resume_reading()

    def close(self) -> None:
        """Send what is still to be sent, then close."""
        if self._transport is None or self.lost or self._transport.is_closing():
            return
        if self._tls is not None and self._secured and not self._finished:
            self._transport.write(self._tls.finish())
        self._finished = True
        self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if not self.lost and self._transport is not None:
            self._transport.abort()

    # within

    def _decrypt(self, tls: TlsStream) -> None:
        try:
            for piece in tls.plaintext():
                self._came(bytes(piece))
        except EOFError:
            if not self._end():
                self.close()
        except ssl.SSLError:
            self.abort()  # a record that is not the server's: nothing after it can be believed
        more = tls.outgoing()
        if more and not self.lost:
            self.transport.write(more)

    def _came(self, data: bytes) -> None:
        """Plaintext: on to the other end, or kept for who awaits it."""
        if self._other is not None:
            self.tail = data[-_TAIL:] if len(data) >= _TAIL else (self.tail + data)[-_TAIL:]
            self.spoke_last, self._other.spoke_last = True, False
            self._other.write(data)
            return
        self._unread += data
        if len(self._unread) > _MOST_UNREAD:
            self.transport.pause_reading()
        self._wake()

    def _end(self) -> bool:
        """No more will come; tell the other end so. Returns whether this one stays open for what that still sends."""
        self.ended = True
        self._wake()
        if self._other is None or not self._half_close or self._other.ended or self._is_deaf():
            return False
        self._other.write_eof()
        return True

    def _is_deaf(self) -> bool:
        """Whether the other side would not even read any more: a Unix socket tells, TCP does not (unix(7), poll(2))."""
        polled = select.poll()
        polled.register(self.transport.get_extra_info("socket").fileno(), 0)  # hang-ups are always told
        return any(events & select.POLLHUP for _, events in polled.poll(0))

    async def _at_least(self, count: int) -> None:
        while len(self._unread) < count and not self.ended:
            await self._more()

    async def _more(self) -> None:
        """Wait until more bytes have come, or the end."""
        if not self.lost:
            self.transport.resume_reading()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
