"""Cancel keys: each client gets one of our own, which leads to the server's, and to nothing once it has left."""

import hmac
import secrets
import struct
from dataclasses import dataclass, field
from typing import Final

from pgbearer.client.proxy.channel import Address
from pgbearer.client.proxy.messages import message
from pgbearer.client.proxy.startup import Cancel
from pgbearer.client.proxy.upstream import Route

__all__ = ["CancelKeys", "Target", "key_data"]

_LONG_KEY: Final = 32
"""Bytes, where the client speaks protocol 3.2, as PostgreSQL's own (MAX_CANCEL_KEY_LENGTH, procsignal.h)."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a cancel request is for: the server's own key, and where that holds."""

    route: Route
    address: Address
    pid: int
    key: bytes = field(repr=False)
    uid: int | None
    """Of the client who was given the key; nobody else may use it."""


class CancelKeys:
    """The keys that are out. Of one event loop."""

    def __init__(self) -> None:
        self._out: dict[int, tuple[bytes, Target]] = {}

    def give(self, target: Target) -> tuple[int, bytes]:
        """A new key for `target`: a process id of nobody, and random bytes, as many as a server's own would have."""
        key = secrets.token_bytes(4 if len(target.key) == 4 else _LONG_KEY)
        while (pid := secrets.randbelow(2**31 - 1) + 1) in self._out:
            pass
        self._out[pid] = key, target
        return pid, key

    def take_back(self, pid: int) -> None:
        """The client has left; its key opens nothing any more."""
        self._out.pop(pid, None)

    def target(self, asked: Cancel, uid: int | None) -> Target | None:
        """Whom the key of a request is for; None if it is no key, or another client's user's."""
        key, target = self._out.get(asked.pid, (b"", None))
        if not hmac.compare_digest(key, asked.key) or target is None or target.uid != uid:
            return None
        return target


def key_data(pid: int, key: bytes) -> bytes:
    """BackendKeyData."""
    return message(b"K", struct.pack("!i", pid) + key)
