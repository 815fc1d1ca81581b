"""Ask a running service through its admin socket."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from pgbearer.errors import PgbearerError, UnreachableError

__all__ = ["ask"]

_SECONDS = 10.0
_NOBODY = "Is pgbearer serve running, with this as its admin.socket? Another one: --socket; an audit file: --file."


def ask(admin_socket: Path, target: str) -> dict[str, Any]:
    """GET from the admin socket.

    Args:
        admin_socket: ``admin.socket`` of the service's settings; only root and the service's own user may connect.
        target: e.g. ``/v1/decisions?role=app_readonly``.

    Raises:
        UnreachableError: nobody answers there, or we may not ask.
        PgbearerError: the service answered that it cannot tell.
    """
    connection = _UnixConnection(admin_socket)
    try:
        connection.request("GET", target)
        reply = connection.getresponse()
        body = json.loads(reply.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        what = getattr(error, "strerror", None) or "no answer that can be read"
        hint = "Ask as root or as the service's user." if isinstance(error, PermissionError) else _NOBODY
        raise UnreachableError(f"cannot ask the service: {what}", where=str(admin_socket), hint=hint) from None
    finally:
        connection.close()
    if reply.status != http.client.OK:
        raise PgbearerError(str(body.get("error", reply.status)), where=str(admin_socket))
    return dict(body)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("pgbearer", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(str(self._path))
