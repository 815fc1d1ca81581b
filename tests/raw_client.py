"""A client of PostgreSQL's protocol, byte by byte, for what libpq does not do. Asks for no login: the proxy has one."""

import asyncio
import struct
from pathlib import Path

__all__ = ["RawClient", "fields", "startup_packet"]

V3_0 = 3 << 16


def startup_packet(version: int = V3_0, **parameters: str) -> bytes:
    """A startup packet; ``user`` is app unless said."""
    pairs = {"user": "app", "database": "appdb", **parameters}
    body = struct.pack("!i", version) + b"".join(f"{name}\0{value}\0".encode() for name, value in pairs.items()) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


class RawClient:
    """One connection. Use it with ``async with await RawClient.to(...)``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, where: Path | tuple[str, int]) -> "RawClient":
        """Connect to a socket's path, or to a host and port."""
        if isinstance(where, Path):
            return cls(*await asyncio.open_unix_connection(where))
        return cls(*await asyncio.open_connection(*where))

    async def __aenter__(self) -> "RawClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.writer.write(data)

    def query(self, sql: str) -> None:
        """Send a simple query."""
        self.send(b"Q" + struct.pack("!i", len(sql) + 5) + sql.encode() + b"\0")

    async def byte(self) -> bytes:
        """One byte; empty at the end."""
        return await self._reader.read(1)

    async def message(self) -> tuple[bytes, bytes]:
        """The next message. Raises asyncio.IncompleteReadError at the end."""
        kind, length = struct.unpack("!ci", await self._reader.readexactly(5))
        return kind, await self._reader.readexactly(length - 4)

    async def until(self, kind: bytes) -> list[tuple[bytes, bytes]]:
        """Messages up to the first of this kind, or to an error."""
        came: list[tuple[bytes, bytes]] = []
        while not came or came[-1][0] not in (kind, b"E"):
            came.append(await self.message())
        return came

    async def rest(self) -> bytes:
        """All that still comes, to the end."""
        return await self._reader.read()

    async def log_in(self, version: int = V3_0, **parameters: str) -> tuple[int, bytes]:
        """Send a startup packet and wait until queries may be sent; the cancel key."""
        self.send(startup_packet(version, **parameters))
        came = await self.until(b"Z")
        key = next(body for kind, body in came if kind == b"K")
        return struct.unpack("!i", key[:4])[0], key[4:]


def fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse."""
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}
