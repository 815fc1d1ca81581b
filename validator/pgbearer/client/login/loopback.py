"""The address on this machine that a browser comes back to (RFC 8252 section 7.3), open for one login.

Everybody on the machine can connect to it, and any page in the browser can send requests: `landing` tells which is the
answer. Here are the bounds: the size of a request, the seconds that a connection may take, and how many there may be.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from pgbearer.client.login.landing import LANDING_PATH, Landing
from pgbearer.client.login.steps import Browse, Redirect
from pgbearer.errors import UnreachableError

__all__ = ["Loopback"]

_ADDRESS: Final = "127.0.0.1"  # and not localhost, which may be another machine's name (RFC 8252 section 8.3)
_MOST_BYTES: Final = 16 * 1024
_MOST_CONNECTIONS: Final = 32
_CONNECTION_SECONDS: Final = 10.0
_END_OF_HEAD: Final = b"\r\n\r\n"


class Loopback:
    """Listens on 127.0.0.1, at a port of the kernel's choice, from its making on; a context manager.

    It is a `Browser` and a `BrowserAsync` for one `Browse`. A connection too many ends the oldest, so that no flood
    keeps the person's own browser out.

    Args:
        show: takes the person to an address, e.g. `TerminalPrompt.browse`; it is called in a thread, and may block.
        most_connections: that are open at a time.
        connection_seconds: until a connection must have sent its request and taken its page.

    Raises:
        UnreachableError: the kernel gives no port.
    """

    def __init__(
        self,
        show: Callable[[str], None],
        *,
        most_connections: int = _MOST_CONNECTIONS,
        connection_seconds: float = _CONNECTION_SECONDS,
    ) -> None:
        self._show = show
        self._most = most_connections
        self._seconds = connection_seconds
        self._open: dict[asyncio.StreamWriter, None] = {}  # in the order of their coming
        self._socket = _listening(most_connections)
        self._host = f"{_ADDRESS}:{self._socket.getsockname()[1]}"

    @property
    def redirect_uri(self) -> str:
        """Where the browser is to come back to."""
        return f"http://{self._host}{LANDING_PATH}"

    def visit(self, step: Browse) -> Redirect | None:
        """As `Browser.visit`, callable from inside a running event loop too, which it blocks."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="pgbearer-loopback", daemon=True)
        thread.start()
        try:
            waiting = asyncio.run_coroutine_threadsafe(self.visit_async(step), loop)
            try:
                return waiting.result()
            finally:  # if the waiting is broken off (Ctrl-C), so is the listening
                waiting.cancel()
                asyncio.run_coroutine_threadsafe(_others_ended(), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def visit_async(self, step: Browse) -> Redirect | None:
        """As `BrowserAsync.visit_async`."""
        arrived: asyncio.Future[Redirect] = asyncio.get_running_loop().create_future()
        landing = Landing(self._host, step.state)

        async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._converse(reader, writer, landing, arrived)

        server = await asyncio.start_server(converse, sock=self._socket, limit=_MOST_BYTES)
        showing = asyncio.create_task(asyncio.to_thread(self._show, step.url))
        try:
            async with asyncio.timeout(step.seconds):
                await asyncio.wait((showing, arrived), return_when=asyncio.FIRST_COMPLETED)
                if showing.done():
                    showing.result()
                return await arrived
        except TimeoutError:
            return None
        finally:
            showing.cancel()
            server.close()
            self._end(0)

    def close(self) -> None:
        """Listen no more; a second call does nothing."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def _converse(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        landing: Landing,
        arrived: asyncio.Future[Redirect],
    ) -> None:
        """One request, one page, and the end."""
        self._open[writer] = None
        self._end(self._most)
        redirect = None
        try:
            async with asyncio.timeout(self._seconds):
                page, redirect = landing.judge(await reader.readuntil(_END_OF_HEAD))
                writer.write(page.encode())
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()  # it gets no page: it sent no request, or too much of one
        finally:
            self._open.pop(writer, None)
            if redirect is not None and not arrived.done():
                arrived.set_result(redirect)

    def _end(self, most: int) -> None:
        """Break off the oldest connections, until `most` are left."""
        while len(self._open) > most:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.transport.abort()


def _listening(backlog: int) -> socket.socket:
    try:
        return socket.create_server((_ADDRESS, 0), backlog=backlog)
    except OSError as error:
        raise UnreachableError(
            f"no port for the browser to come back to: {error.strerror}",
            where=_ADDRESS,
            hint="Log in by device code (--device).",
        ) from error


async def _others_ended() -> None:
    """Wait until nothing else runs in this event loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
