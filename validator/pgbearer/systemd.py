"""What systemd and we tell each other: that we are ready (sd_notify(3)), and which sockets it made for us."""

import logging
import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Final

from pgbearer.errors import UsageError

__all__ = ["Handed", "inherited_sockets", "notify"]

_FIRST: Final = 3
"""SD_LISTEN_FDS_START (sd_listen_fds(3))."""
_MOST: Final = 1_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Handed:
    """A listening socket that the service manager made."""

    name: str
    """``FileDescriptorName=`` of its unit; the unit's own name if it says none."""
    socket: socket.socket


def notify(state: str) -> None:
    """Send e.g. ``READY=1`` to ``$NOTIFY_SOCKET``; nothing happens without one.

    That nobody hears is no reason not to serve: a shell below a service has the variable too, and long after it.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # the abstract namespace, unix(7)
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        try:
            manager.connect(address)
            manager.sendall(state.encode())
        except OSError as error:
            _log.warning("nobody hears at NOTIFY_SOCKET: %s", error.strerror or error)


def inherited_sockets(environment: MutableMapping[str, str] = os.environ) -> tuple[Handed, ...]:
    """The sockets that came with the start of this process (sd_listen_fds(3)); none if they are another process's.

    They are taken once: the variables are removed, and programs that are started from here inherit no socket.

    Raises:
        UsageError: the variables name what is no listening stream socket.
    """
    pid, count, names = (environment.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()):
        return ()
    if not count.isdigit() or int(count) > _MOST:
        raise UsageError("LISTEN_FDS is no number of sockets", hint="It is for service managers to set.")
    called = names.split(":") if names else ["unknown"] * int(count)
    if len(called) != int(count):
        raise UsageError(f"LISTEN_FDNAMES has {len(called)} names for {int(count)} sockets")
    return tuple(Handed(name, _listening(_FIRST + index)) for index, name in enumerate(called))


def _listening(file: int) -> socket.socket:
    try:
        handed = socket.socket(fileno=file)
        handed.set_inheritable(False)
        listens = handed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        kind = handed.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
    except OSError as error:
        raise UsageError(f"file {file}, which should be a socket, is none: {error.strerror}") from None
    if not listens or kind != socket.SOCK_STREAM:
        raise UsageError(f"socket {file} does not listen for streams", hint="Say ListenStream= in its unit.")
    return handed
