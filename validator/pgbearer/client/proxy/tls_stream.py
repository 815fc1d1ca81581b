"""TLS as bytes in and bytes out, without I/O: OpenSSL between two memory buffers.

asyncio's own TLS keeps a quarter of a megabyte for each connection (sslproto.SSLProtocol), and cannot close one
direction alone; a proxy has a thousand idle connections, and clients that send their last word and wait.
"""

import contextlib
import ssl
from collections.abc import Iterator
from typing import cast

__all__ = ["TlsStream"]


class TlsStream:
    """The client's side of one TLS connection. Not for threads.

    Args:
        context: verifies chain and name.
        server_name: what the certificate must be for.
        scratch: where plaintext is put, piece by piece; may be shared with other streams of the same event loop.
    """

    def __init__(self, context: ssl.SSLContext, server_name: str, scratch: bytearray) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._scratch = memoryview(scratch)

    def feed(self, received: memoryview) -> None:
        """Take what came from the network."""
        self._incoming.write(received)

    def handshake(self) -> bool:
        """Go on with the handshake as far as what has come allows; True once it is done.

        Raises:
            ssl.SSLError: it failed. `outgoing` may have an alert to send all the same.
        """
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def plaintext(self) -> Iterator[memoryview]:
        """What can be decrypted by now; each piece is good until the next is asked for.

        Raises:
            EOFError: the other side has said that no more will come (close_notify).
            ssl.SSLError: a record is forged or malformed.
        """
        error: EOFError | ssl.SSLError | None = None
        while error is None:
            filled = 0
            while filled < len(self._scratch) and error is None:  # a read gives one record, 8 KiB from PostgreSQL
                try:
                    filled += self._read(self._scratch[filled:])
                except (EOFError, ssl.SSLError) as ended:
                    error = ended
            if filled:
                yield self._scratch[:filled]
        if not isinstance(error, ssl.SSLWantReadError):
            raise error

    def encrypt(self, data: bytes) -> bytes:
        """What to send for `data`, with anything that OpenSSL had to say itself."""
        self._tls.write(data)
        return self._outgoing.read()

    def outgoing(self) -> bytes:
        """What OpenSSL wants to send by itself: handshake, key updates, alerts. Often nothing."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def finish(self) -> bytes:
        """What says that no more will be sent (close_notify); the other side may still send."""
        with contextlib.suppress(ssl.SSLError):  # it waits for the other side's, or there never was a handshake
            self._tls.unwrap()
        return self._outgoing.read()

    @property
    def alpn(self) -> str | None:
        """The protocol that both sides agreed on."""
        return self._tls.selected_alpn_protocol()

    def _read(self, into: memoryview) -> int:
        try:
            count = cast("int", self._tls.read(len(into), into))  # a count where there is a buffer
        except ssl.SSLZeroReturnError:
            raise EOFError from None
        if not count:
            raise EOFError
        return count
