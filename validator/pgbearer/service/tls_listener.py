"""The listener for servers on other hosts: so many handshakes at a time, refusals counted and told of now and then."""

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final

from pgbearer.service.exchange import Exchange, Exchanges, Handler, Peer
from pgbearer.service.metrics import Metrics
from pgbearer.service.tls_connection import TlsConnection

__all__ = ["A_CROWD", "MAX_HANDSHAKES", "Refusals", "TlsListener"]

MAX_HANDSHAKES: Final = 256
"""One more, and the oldest of the address that has most is cut: who only connects crowds out itself."""
A_CROWD: Final = 8
"""More of one address are. Where there is none, many addresses share in it, and the oldest of all makes room."""
_TELL_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)


class Refusals:
    """Counts who was refused before asking, and logs of each reason one in ten seconds, with the number in between."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._told: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def add(self, reason: str, address: str, why: str) -> None:
        """One more.

        Args:
            reason: ``handshake``, ``slow``, ``crowded``, ``request`` or ``unknown``.
            address: of the peer.
            why: for people.
        """
        self._metrics.tls_refused.labels(reason).inc()
        now = time.monotonic()
        if now - self._told.get(reason, -_TELL_SECONDS) < _TELL_SECONDS:
            self._untold[reason] = self._untold.get(reason, 0) + 1
            return
        self._told[reason] = now
        more = self._untold.pop(reason, 0)
        besides = f" ({more} more like it before)" if more else ""
        _log.warning("a connection from %s is refused: %s%s", address, why, besides)


class TlsListener:
    """Serves logins of servers on other hosts, one exchange a connection.

    Args:
        bound: a listening socket.
        handler: what answers.
        context: what connections are met with now.
        refusals: where those that never ask are counted.
    """

    def __init__(
        self, bound: socket.socket, handler: Handler, context: Callable[[], ssl.SSLContext], refusals: Refusals
    ) -> None:
        self._bound = bound
        self._handler = handler
        self._context = context
        self._refusals = refusals
        self._live = Exchanges()
        self._shaking: dict[str, dict[TlsConnection, None]] = {}
        """By where they are from, the oldest first."""
        self._handshakes: dict[TlsConnection, None] = {}
        """All of them, the oldest first."""
        self._none_shaking = asyncio.Event()
        self._none_shaking.set()
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Accept connections; those that came since the socket was bound are served too."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: TlsConnection(self._context(), self, self._handler.max_body),
            sock=self._bound,
            backlog=socket.SOMAXCONN,
        )

    def close(self) -> None:
        """Accept nobody more; connections under way go on."""
        if self._server is not None:
            self._server.close()

    async def drained(self, seconds: float) -> None:
        """Wait until handshakes and exchanges under way are over; after `seconds`, cut the rest.

        A request that comes with the end of a handshake is answered: whoever is cut after having sent it cannot know
        that nothing was decided. A handshake that does not end is ended as ever, in `HANDSHAKE_SECONDS`.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none_shaking.wait(), seconds)
        for connection in [one for those in self._shaking.values() for one in those]:
            connection.fail("handshake", "the service stops")
        await self._live.drained(max(until - loop.time(), 0))

    # what connections call

    def came(self, connection: TlsConnection) -> None:
        """Make room, if there is none.

        What has sent something that has not been read yet may be a request that came with the end of its handshake; it
        is cut only if all the others among which one is chosen have too. It does not stay so: it is read within a
        moment. A handshake that comes to an end is a young one, so whoever holds many open is found by their age too.
        """
        if len(self._handshakes) >= MAX_HANDSHAKES:
            most = max(self._shaking.values(), key=len)
            crowd = most if len(most) > A_CROWD else self._handshakes
            chosen = next((one for one in crowd if not one.unread), next(iter(crowd)))
            there = len(self._shaking[chosen.whence])
            chosen.fail("crowded", f"{MAX_HANDSHAKES} handshakes are under way, {there} of them from there")
        self._shaking.setdefault(connection.whence, {})[connection] = None
        self._handshakes[connection] = None
        self._none_shaking.clear()

    def passed(self, connection: TlsConnection, peer: Peer) -> Exchange:
        """Ask the handler who that is."""
        return Exchange(self._handler, self._live, peer)

    def failed(self, connection: TlsConnection, reason: str, why: str) -> None:
        """Count it."""
        self._refusals.add(reason, connection.address, why)

    def left(self, connection: TlsConnection) -> None:
        """One handshake less, if it was still one."""
        those = self._shaking.get(connection.whence, {})
        if connection in those:
            del those[connection]
            del self._handshakes[connection]
            if not those:
                del self._shaking[connection.whence]
            if not self._handshakes:
                self._none_shaking.set()
