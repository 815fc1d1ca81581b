"""A login spoken byte by byte, for what libpq does not do: odd names, hanging up half-way, hundreds at a time.

PostgreSQL's protocol 3.0, authentication OAUTHBEARER (RFC 7628), over a Unix socket.
"""

import asyncio
import struct
from pathlib import Path

__all__ = ["RawLogin"]

_SASL, _SASL_CONTINUE, _OK = 10, 11, 0


class RawLogin:
    """One connection that logs in. Make it with `begin()`, which returns when the token has been sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def begin(
        cls, folder: Path, token: str, *, role: bytes = b"app", database: bytes = b"postgres"
    ) -> "RawLogin":
        """Connect to the server whose socket is in `folder` and send it `token`."""
        login = cls(*await asyncio.open_unix_connection(folder / ".s.PGSQL.5432"))
        try:
            await login._present(token, role, database)
        except BaseException:
            login.hang_up()
            raise
        return login

    async def let_in(self) -> bool:
        """Wait for the server's verdict: in, or refused. Raises asyncio.IncompleteReadError if it just hangs up."""
        verdict = await self._authentication()
        if verdict == _SASL_CONTINUE:  # the server says why, and waits for this before it fails
            self._send(b"\x01")
            verdict = await self._authentication()
        return verdict == _OK

    def hang_up(self) -> None:
        """Close the connection, whatever the server is doing."""
        self._writer.transport.abort()

    async def _present(self, token: str, role: bytes, database: bytes) -> None:
        start = b"".join(part + b"\0" for part in (b"user", role, b"database", database, b""))
        self._writer.write(struct.pack("!ii", len(start) + 8, 3 << 16) + start)
        if await self._authentication() != _SASL:
            raise ConnectionError("the server does not ask for OAuth")
        said = f"n,,\x01auth=Bearer {token}\x01\x01".encode()
        self._send(b"OAUTHBEARER\0" + struct.pack("!i", len(said)) + said)
        await self._writer.drain()

    def _send(self, payload: bytes) -> None:
        self._writer.write(b"p" + struct.pack("!i", len(payload) + 4) + payload)

    async def _authentication(self) -> int | None:
        """The kind of the next Authentication message; None if it is an error instead."""
        kind, length = struct.unpack("!ci", await self._reader.readexactly(5))
        body = await self._reader.readexactly(length - 4)
        return int.from_bytes(body[:4], "big") if kind == b"R" else None
