"""The listeners: our own protocol on Unix sockets, uvicorn on TCP."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from pgbearer.errors import UsageError
from pgbearer.service.exchange import Exchange, Exchanges, Handler
from pgbearer.service.http_protocol import MAX_HEAD_BYTES, BoundedHttp
from pgbearer.service.state import State
from pgbearer.sockets import BoundSocket, bind

__all__ = ["HttpListener", "Places", "UnixListener", "open_places"]


@dataclass(frozen=True, slots=True)
class Places:
    """Every socket of a service, bound and listening; what connects waits until it is served."""

    logins: tuple[BoundSocket, ...]
    network: socket.socket | None
    """For servers on other hosts."""
    admin: BoundSocket
    http: socket.socket


@contextmanager
def open_places(state: State) -> Iterator[Places]:
    """Bind everything that `state` names, and take it away again at the end.

    Raises:
        UsageError: somebody listens there, or it is not ours to have.
    """
    with ExitStack() as stack:

        def bound(path: Path, *, mode: int, folder_mode: int, gid: int | None = None) -> BoundSocket:
            found = bind(path, mode=mode, folder_mode=folder_mode, gid=gid)
            stack.callback(found.socket.close)
            stack.callback(found.remove)
            return found

        http = stack.enter_context(_bind_tcp(state.settings.http.address))
        admin = bound(state.settings.admin.socket, mode=0o600, folder_mode=0o700)
        tls = state.settings.listen.tls
        network = stack.enter_context(_bind_tcp(tls.address, socket.SOMAXCONN)) if tls else None
        logins = [bound(login.path, mode=0o660, folder_mode=0o750, gid=login.gid) for login in state.sockets.values()]
        yield Places(tuple(logins), network, admin, http)


class UnixListener:
    """Serves one Unix socket, one exchange a connection.

    Args:
        bound: the socket, which is removed when the listener closes.
        handler: what answers.
    """

    def __init__(self, bound: BoundSocket, handler: Handler) -> None:
        self._bound = bound
        self._handler = handler
        self._live = Exchanges()
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Accept connections; those that came since the socket was bound are served too."""
        make = partial(Exchange, self._handler, self._live)
        self._server = await asyncio.get_running_loop().create_unix_server(
            make, sock=self._bound.socket, backlog=socket.SOMAXCONN
        )

    def close(self) -> None:
        """Take the socket away and accept nobody more; connections under way go on."""
        self._bound.remove()
        if self._server is not None:
            self._server.close()

    async def drained(self, seconds: float) -> None:
        """Wait until the connections under way are over; after `seconds`, cut the rest."""
        await self._live.drained(seconds)


class HttpListener:
    """Serves an ASGI application on TCP.

    Args:
        bound: a listening socket.
        app: the application.
    """

    def __init__(self, bound: socket.socket, app: Callable[..., Awaitable[None]]) -> None:
        self._bound = bound
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                http=BoundedHttp,
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._task: asyncio.Task[Any] | None = None

    def start(self) -> None:
        """Serve in a task of its own."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._bound]), name="http")

    async def aclose(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task


def _bind_tcp(address: str, backlog: int | None = None) -> socket.socket:
    """A listening TCP socket.

    Args:
        address: ``127.0.0.1:8431`` or ``[::1]:8431``; port 0 takes any.
        backlog: how many may wait to be accepted; None leaves it to the system.

    Raises:
        UsageError: it cannot be had.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family, backlog=backlog)
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen: {getattr(error, 'strerror', None) or error}", where=address) from None


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handlers: the service has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
