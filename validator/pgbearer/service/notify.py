"""Tell the service manager how we are (sd_notify(3)), if there is one."""

import os
import socket

__all__ = ["notify"]


def notify(state: str) -> None:
    """Send e.g. ``READY=1`` to ``$NOTIFY_SOCKET``; nothing happens without one."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # the abstract namespace, unix(7)
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        manager.connect(address)
        manager.sendall(state.encode())
