"""The lying service over the network: TLS as a test wants it, or what only looks like it."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lying_service import LyingService
from tests.parts.authority import Certificate

__all__ = ["LyingNetwork"]


class LyingNetwork(LyingService):
    """Listens on a port of loopback, which stays the same from one start() to the next.

    Args:
        own: what it shows.
        ca_file: whom it believes about its clients; None takes anybody.
        versions: of TLS, the lowest and the highest that it speaks.
        host: the address of loopback that it listens at.
        port: 0 takes any.
    """

    def __init__(
        self,
        own: Certificate,
        ca_file: Path | None = None,
        versions: tuple[ssl.TLSVersion, ssl.TLSVersion] = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        super().__init__(Path("/nowhere"))
        self._own = own
        self._ca_file = ca_file
        self._versions = versions
        self._instead: Callable[[socket.socket], object] | None = None
        self._host = host
        self.port = port
        self.greeted: list[dict[str, Any]] = []
        """Of each handshake that was finished: the version, and the client's certificate if it was asked for."""
        self.came = 0
        """Connections, whatever became of them."""
        self.tickets = 2
        """Sent after each handshake, for a session that nobody resumes."""

    def endpoint(self, peer: str = "hostname=pgbearer.test") -> str:
        """How the module is told of it; it must be listening."""
        return f"tcp://127.0.0.1:{self.port}?{peer}"

    def show(self, own: Certificate) -> None:
        """Show another certificate from now on."""
        self._own = own

    def instead_of_tls(self, behave: Callable[[socket.socket], object] | None) -> None:
        """Do this with a connection, then close it; None: speak TLS again."""
        self._instead = behave

    def cut_once(self) -> None:
        """Close the next connection at once."""

        def leave(_: socket.socket) -> None:
            self._instead = None

        self.instead_of_tls(leave)

    def silent(self) -> None:
        """Accept, and say nothing."""
        self.instead_of_tls(lambda _: self._closing.wait())

    def _bind(self) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self._host, self.port))
        self.port = listener.getsockname()[1]
        return listener

    def _greet(self, connection: socket.socket) -> socket.socket:
        with self._news:
            self.came += 1
            self._news.notify_all()
        if self._instead is not None:
            self._instead(connection)
            raise ConnectionError
        wrapped = self._wrap(connection)
        self.greeted.append({"version": wrapped.version(), "certificate": wrapped.getpeercert() or {}})
        return wrapped

    def _wrap(self, connection: socket.socket) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = self._versions
        context.load_cert_chain(self._own.cert_file, self._own.key_file)
        if self._ca_file is not None:
            context.load_verify_locations(self._ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = self.tickets
        return context.wrap_socket(connection, server_side=True)

    def wait_for_connections(self, count: int) -> None:
        """Return when so many have come in all."""
        with self._news:
            if not self._news.wait_for(lambda: self.came >= count, 20):
                raise TimeoutError(f"{self.came} of {count} connections came")
