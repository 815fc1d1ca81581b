"""A connection that a token may go through: a Unix socket, or TCP under verified TLS. Opens it, and logs nobody in."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from pgbearer.client.connection.failure import ServerUnreachableError
from pgbearer.client.connection.pinned import UnsafeServerError
from pgbearer.client.plain import plain
from pgbearer.client.proxy.messages import SSL_REQUEST, packet
from pgbearer.client.proxy.peer import peer_uid
from pgbearer.client.proxy.tls_settings import ALPN
from pgbearer.client.proxy.tls_stream import TlsStream
from pgbearer.client.proxy.upstream import Host, Route
from pgbearer.client.proxy.wire import Wire, Workspace

__all__ = ["Address", "addresses_of", "open_channel"]


@dataclass(frozen=True, slots=True)
class Address:
    """One place to connect to: a host of a route, and what its name was looked up to be."""

    host: Host
    sockaddr: str | tuple[Any, ...]
    family: int = socket.AF_UNIX

    def __str__(self) -> str:
        return str(self.host) if isinstance(self.sockaddr, str) else f"{self.host} ({self.sockaddr[0]})"


async def addresses_of(host: Host) -> list[Address]:
    """Where `host` is, in the order of the resolver.

    Raises:
        ServerUnreachableError: its name leads nowhere.
    """
    if host.socket is not None:
        return [Address(host, host.socket)]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host.address or host.name, host.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServerUnreachableError(f"cannot look up the server: {plain(str(error))}", where=str(host)) from None
    return [Address(host, sockaddr, family) for family, _, _, _, sockaddr in found]


@contextlib.asynccontextmanager
async def open_channel(
    route: Route, address: Address, when_lost: Callable[[Wire], None], space: Workspace
) -> AsyncIterator[Wire]:
    """Connect, encrypt and verify; the wire is aborted if the block raises, and left open if it does not.

    Args:
        route: whose rules hold.
        address: where to.
        when_lost: called when the connection is over.
        space: of the event loop.

    Raises:
        ServerUnreachableError: there is no server there, or none that is who it must be.
        UnsafeServerError: what is there must not have a token.
    """
    wire = Wire(when_lost, space)
    try:
        try:
            await _connect(route, address, wire, space)
        except ssl.SSLCertVerificationError as error:
            raise ServerUnreachableError(
                f"certificate verify failed: {plain(error.verify_message)}",
                where=str(address),
                hint="No token was sent.",
            ) from None
        except OSError as error:
            raise ServerUnreachableError(f"cannot connect: {_said(error)}", where=str(address)) from None
        yield wire
    except BaseException:
        wire.abort()
        raise


async def _connect(route: Route, address: Address, wire: Wire, space: Workspace) -> None:
    loop = asyncio.get_running_loop()
    if isinstance(address.sockaddr, str):
        opened = await _opened(address)
        _check_server(opened, route, address)
        await loop.create_connection(lambda: wire, sock=opened)
        return
    if route.tls is None:  # cannot be: it is None only where all hosts are sockets
        raise UnsafeServerError("the token is not sent over TCP without TLS", where=str(address))
    opened = await _opened(address)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    await loop.create_connection(lambda: wire, sock=opened)
    tls = TlsStream(route.tls.context(), address.host.name, space.decrypted)
    if not route.tls.direct:
        await _ask_for_tls(wire, address)
    await wire.secure(tls)
    if route.tls.direct and tls.alpn != ALPN:
        raise UnsafeServerError("the server speaks TLS, but not PostgreSQL's (no ALPN)", where=str(address))


async def _opened(address: Address) -> socket.socket:
    opened = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)  # noqa: FBT003  the standard library's signature
        await asyncio.get_running_loop().sock_connect(opened, address.sockaddr)
    except BaseException:
        opened.close()
        raise
    return opened


def _check_server(opened: socket.socket, route: Route, address: Address) -> None:
    """``requirepeer``: who serves the socket."""
    if route.requirepeer is None:
        return
    uid = peer_uid(opened)
    if uid != route.requirepeer:
        opened.close()
        raise UnsafeServerError(f"the socket is served by uid {uid}, not by requirepeer's", where=str(address))


async def _ask_for_tls(wire: Wire, address: Address) -> None:
    """SSLRequest, and one byte of answer; nothing may have come with it (CVE-2021-23222)."""
    wire.write(packet(SSL_REQUEST.to_bytes(4, "big")))
    answer = await wire.byte()
    if answer != b"S":
        what = "does not support SSL" if answer == b"N" else "does not speak PostgreSQL's protocol"
        raise ServerUnreachableError(f"the server {what}", where=str(address), hint="No token was sent.")
    if wire.has_unread:
        raise UnsafeServerError("bytes came in before TLS began: somebody is in between", where=str(address))


def _said(error: OSError) -> str:
    """What it was, in the system's words: asyncio puts an address in their place (base_events.py, sock_connect)."""
    if isinstance(error, ssl.SSLError):
        return plain(str(error.reason or error))
    return plain(os.strerror(error.errno) if error.errno else str(error))
