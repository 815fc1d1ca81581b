"""One end of a connection: first read message by message, then joined to another end, bytes in, bytes out."""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from pgbearer.client.proxy.messages import Message, take_message, take_packet

__all__ = ["Wire"]

_MOST_UNREAD: Final = 128 * 1024  # bytes kept before the login is over; more stays in the kernel
_TAIL: Final = 6  # bytes of a ReadyForQuery


class Wire(asyncio.Protocol):
    """The proxy's side of one socket.

    Until `join`, messages are awaited one by one, and no more is read ahead than a login may have. Afterwards each
    chunk that comes in goes out at the other end at once, and reading stops while the other end cannot write
    (back-pressure): what is kept is bounded by the transport's write buffer.

    Of one event loop. Only one task may await messages.

    Args:
        when_lost: called once when the connection is over, with what ended it.
        clock: seconds on a clock that never jumps.
    """

    def __init__(self, when_lost: Callable[["Wire"], None], clock: Callable[[], float]) -> None:
        self._when_lost = when_lost
        self._clock = clock
        self._unread = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._other: Wire | None = None
        self._transport: asyncio.Transport | None = None
        self.ended = False
        """No more bytes will come."""
        self.lost = False
        """The connection is over, both ways."""
        self.last_byte = clock()
        """When the last byte came in."""
        self.tail = b""
        """The last few bytes that came in since `join`."""

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As `asyncio.BaseProtocol.connection_made`."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """As `asyncio.Protocol.data_received`."""
        self.last_byte = self._clock()
        if self._other is not None:
            self.tail = data[-_TAIL:] if len(data) >= _TAIL else (self.tail + data)[-_TAIL:]
            self._other.write(data)
            return
        self._unread += data
        if len(self._unread) > _MOST_UNREAD:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """As `asyncio.Protocol.eof_received`: a half-closed connection is half-closed at the other end too."""
        self.ended = True
        self._wake()
        other = self._other
        if other is None or other.lost or not other.transport.can_write_eof() or not self.transport.can_write_eof():
            return False  # TLS has no half-closed connections in asyncio: both ends close
        other.transport.write_eof()
        return True

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
        """What carries it now; another one after a TLS handshake."""
        if self._transport is None:
            raise RuntimeError("not connected")
        return self._transport

    @transport.setter
    def transport(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    @property
    def has_unread(self) -> bool:
        """Whether bytes came in that nobody has asked for."""
        return bool(self._unread)

    @property
    def is_between_queries(self) -> bool:
        """Whether the last thing that came in looks like a ReadyForQuery (``Z``, length 5, a state)."""
        return self.tail[:5] == b"Z\0\0\0\5" and self.tail[5:] in (b"I", b"T", b"E")

    def write(self, data: bytes) -> None:
        """Send `data`, or nothing if the connection is over."""
        if not self.lost:
            self.transport.write(data)

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

    def join(self, other: "Wire", most_kept: int) -> None:
        """From now on what comes in goes out at `other`, of which `most_kept` bytes may wait; call it on both ends."""
        self._other = other
        self.transport.set_write_buffer_limits(most_kept)
        if self._unread:
            early = bytes(self._unread)
            self._unread.clear()
            other.write(early)
        self.transport.resume_reading()

    def close(self) -> None:
        """Send what is still to be sent, then close."""
        if not self.lost and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if not self.lost and self._transport is not None:
            self._transport.abort()

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
