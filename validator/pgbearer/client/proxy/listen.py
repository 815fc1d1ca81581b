"""Where clients come in: a private Unix socket, the loopback behind a secret, or a socket that systemd hands over."""

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pgbearer.client.proxy.scram import ScramVerifier, new_secret
from pgbearer.errors import UsageError
from pgbearer.sockets import BoundSocket, bind

__all__ = ["SHARED_FOLDER", "Inherited", "Listen", "ListenTcp", "Listening", "Place", "open_place"]

SHARED_FOLDER: Final = 0o711
"""Mode of a folder that other users pass through but cannot open: who can, may lock it (flock(2)), as `bind` does."""


@dataclass(frozen=True, slots=True)
class Listen:
    """A Unix socket ``.s.PGSQL.PORT``, as libpq looks for one.

    Args:
        folder: made if need be, and closed to others; clients have it as ``host``.
        port: part of the socket's name.
        shared: whether other local users may reach it, which is only for an upstream with `Upstream.admit`.
    """

    folder: Path
    port: int = 5432
    shared: bool = False


@dataclass(frozen=True, slots=True)
class ListenTcp:
    """A port on 127.0.0.1, for clients that cannot do Unix sockets. They prove a secret that is new in every run.

    Args:
        passfile: where the secret is written, as libpq and others read it (PGPASSFILE); mode 0600, gone with the proxy.
        port: 0 is any that is free.
    """

    passfile: Path
    port: int = 0


@dataclass(frozen=True, slots=True)
class Inherited:
    """A listening socket that somebody else made, as systemd's socket activation does.

    Args:
        socket: of a Unix path or of the loopback.
        passfile: as for `ListenTcp`; needed for one of the loopback.
    """

    socket: socket.socket
    passfile: Path | None = None


Place = Listen | ListenTcp | Inherited


@dataclass(slots=True)
class Listening:
    """An open place."""

    socket: socket.socket
    where: str
    """As clients say it: folder and port, or address and port."""
    port: int
    verifier: ScramVerifier | None
    """What clients have to prove, where the kernel does not say who they are."""
    secret: str | None = field(repr=False)
    passfile: Path | None
    bound: BoundSocket | None

    def close(self) -> None:
        """No more clients; a path of ours is taken away."""
        if self.bound is not None:
            self.bound.remove()
        self.socket.close()


def open_place(place: Place) -> Listening:
    """Begin to listen.

    Raises:
        UsageError: somebody listens there, or it is open to others.
    """
    match place:
        case Listen():
            path = place.folder / f".s.PGSQL.{place.port}"
            modes = (0o666, SHARED_FOLDER) if place.shared else (0o600, 0o700)
            bound = bind(path, mode=modes[0], folder_mode=modes[1])
            return Listening(bound.socket, f"{place.folder}:{place.port}", place.port, None, None, None, bound)
        case ListenTcp():
            return _behind_secret(_loopback(place.port), place.passfile)
        case Inherited():
            return _inherited(place)


def _inherited(place: Inherited) -> Listening:
    place.socket.setblocking(False)  # noqa: FBT003  the standard library's signature
    if place.socket.family == socket.AF_UNIX:
        name = os.fsdecode(place.socket.getsockname())
        folder, _, suffix = name.rpartition("/.s.PGSQL.")
        port = int(suffix) if suffix.isdigit() else 0
        return Listening(place.socket, f"{folder or name}:{port}", port, None, None, None, None)
    address = place.socket.getsockname()[0]
    if address not in ("127.0.0.1", "::1"):
        raise UsageError("the proxy listens on the loopback only", where=str(address))
    if place.passfile is None:
        raise UsageError("a socket of the loopback needs a passfile", where=str(address))
    return _behind_secret(place.socket, place.passfile)


def _loopback(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)  # noqa: FBT003  the standard library's signature
        listener.bind(("127.0.0.1", port))
        listener.listen(socket.SOMAXCONN)
    except OSError as error:
        listener.close()
        raise UsageError(f"cannot listen: {error.strerror}", where=f"127.0.0.1:{port}") from None
    return listener


def _behind_secret(listener: socket.socket, passfile: Path) -> Listening:
    secret = new_secret()
    address, port = listener.getsockname()[:2]
    return Listening(listener, f"{address}:{port}", port, ScramVerifier.of(secret), secret, passfile, None)
