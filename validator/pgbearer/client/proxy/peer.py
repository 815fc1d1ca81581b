"""Who is at the other end of a Unix socket, as the kernel knows it."""

import socket
import struct

__all__ = ["peer_uid"]

_LOCAL_PEERCRED = 1  # sys/un.h of macOS; a struct xucred begins with version and uid


def peer_uid(connected: socket.socket) -> int:
    """The uid that connected, or that listens (SO_PEERCRED, unix(7); getpeereid(3) elsewhere).

    Raises:
        OSError: the kernel does not say.
    """
    if hasattr(socket, "SO_PEERCRED"):
        _, uid, _ = struct.unpack("iII", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(uid)
    _, uid = struct.unpack("=II", connected.getsockopt(0, _LOCAL_PEERCRED, 76)[:8])
    return int(uid)
