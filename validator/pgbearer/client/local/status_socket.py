"""How a proxy is asked how it is: a socket of its own beside the one for clients, for its own user and root."""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pgbearer.client.proxy.listen import SHARED_FOLDER
from pgbearer.client.proxy.peer import peer_uid
from pgbearer.errors import UsageError
from pgbearer.sockets import BoundSocket, bind

__all__ = ["STATUS_SOCKET", "StatusSocket", "ask_all"]

STATUS_SOCKET: Final = "status.sock"

_SECONDS: Final = 5.0
_MOST_BYTES: Final = 1 << 20


class StatusSocket:
    """Answers everybody who connects with one JSON object, and closes. Use it with ``async with``.

    Args:
        folder: the upstream's.
        answer: called for each who asks; holds no token.
        shared: whether the folder may be passed through by other users; the socket never may.
    """

    def __init__(self, folder: Path, answer: Callable[[], Mapping[str, Any]], *, shared: bool = False) -> None:
        self._path = folder / STATUS_SOCKET
        self._answer = answer
        self._shared = shared

    async def __aenter__(self) -> Self:
        """Begin to listen; raises UsageError if somebody listens there."""
        self._bound: BoundSocket = bind(self._path, mode=0o600, folder_mode=SHARED_FOLDER if self._shared else 0o700)
        self._server = await asyncio.start_unix_server(self._serve, sock=self._bound.socket)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bound.remove()
        self._server.close()

    async def _serve(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asking = writer.get_extra_info("socket")
        try:
            if peer_uid(asking) in (0, os.geteuid()):
                writer.write(json.dumps(self._answer()).encode() + b"\n")
                async with asyncio.timeout(_SECONDS):
                    await writer.drain()
        except (OSError, TimeoutError):
            pass  # whoever asked has gone, or does not read
        finally:
            writer.close()


def ask_all(base: Path) -> Iterator[Mapping[str, Any]]:
    """What each proxy says that has a folder in `base`, by the folders' names. What does not answer is left out.

    Raises:
        UsageError: `base` cannot be read.
    """
    try:
        folders = sorted(entry for entry in base.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(base)) from None
    for folder in folders:
        said = _ask(folder / STATUS_SOCKET)
        if said is not None:
            yield said


def _ask(path: Path) -> Mapping[str, Any] | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_SECONDS)
        try:
            asking.connect(str(path))
            if os.geteuid() not in (0, peer_uid(asking)):
                return None
            answer = json.loads(_read(asking))
        except (OSError, ValueError, RecursionError):  # the last for JSON that is nothing but brackets
            return None
    return answer if isinstance(answer, dict) else None


def _read(asking: socket.socket) -> bytes:
    answer = bytearray()
    while len(answer) <= _MOST_BYTES and (more := asking.recv(65_536)):
        answer += more
    return bytes(answer[: _MOST_BYTES + 1])
