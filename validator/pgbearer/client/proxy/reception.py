"""Accepts clients, one after the other, and never stops because of one."""

import asyncio
import errno
import logging
import socket
from collections.abc import Iterator
from typing import Final

from pgbearer.client.proxy.desk import Desk
from pgbearer.client.proxy.listen import Listening
from pgbearer.client.proxy.peer import peer_uid
from pgbearer.client.proxy.session import Session

__all__ = ["receive"]

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_BATCH: Final = 32
_PAUSE_SECONDS: Final = 0.1  # when there is nobody to drop and no file left

_log = logging.getLogger(__name__)


async def receive(listening: Listening, desk: Desk) -> None:
    """Accept for ever; to be cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            client, _ = await loop.sock_accept(listening.socket)
            await _admit(client, desk)
            for client in _at_once(listening.socket):
                await _admit(client, desk)
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                continue  # a client that left before we came to it (ECONNABORTED, accept(2))
            if not desk.house.guests.drop_oldest():
                _log.warning("no more files for clients of %s", desk.route.upstream.name)
            await asyncio.sleep(_PAUSE_SECONDS)  # a dropped one gives its file back in the next round


def _at_once(listener: socket.socket) -> Iterator[socket.socket]:
    """Some of those that wait too, so that a flood does not fill the kernel's queue while we go round once for each."""
    for _ in range(_BATCH):
        try:
            client, _ = listener.accept()
        except BlockingIOError:
            return
        yield client


async def _admit(client: socket.socket, desk: Desk) -> None:
    """Turn a connection into a session."""
    try:
        client.setblocking(False)  # noqa: FBT003  the standard library's signature
        uid = peer_uid(client) if client.family == socket.AF_UNIX else None
        if uid is None:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(desk, uid)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: session.local, client)
    except OSError:
        client.close()  # it is gone
        return
    desk.house.guests.came(session)
    session.start()
