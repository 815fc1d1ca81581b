"""Ask a running service, or tell it to change something, through its admin socket."""

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgbearer.errors import PgbearerError, UnreachableError, UsageError

__all__ = ["ask", "tell"]

_SECONDS = 60.0
"""A large candidate for shadow takes some to read."""
_NOBODY = "Is pgbearer serve running, with this as its admin.socket? Another one: --socket"


def ask(admin_socket: Path, target: str) -> dict[str, Any]:
    """GET from the admin socket.

    Args:
        admin_socket: ``admin.socket`` of the service's settings; only root and the service's own user may connect.
        target: e.g. ``/v1/decisions?role=app_readonly``.

    Raises:
        UnreachableError: nobody answers there, or we may not ask.
        PgbearerError: the service answered that it cannot tell.
    """
    return _exchange(admin_socket, "GET", target, None, f"{_NOBODY}; an audit file: --audit.")


def tell(admin_socket: Path, target: str, command: Mapping[str, Any]) -> dict[str, Any]:
    """POST to the admin socket: change something.

    Args:
        admin_socket: as for `ask`.
        target: e.g. ``/v1/revocations``.
        command: what is to be done; goes as JSON.

    Raises:
        UnreachableError: nobody answers there, or we may not ask.
        UsageError: the service says that the command is none.
        PgbearerError: the service could not obey; nothing changed.
    """
    return _exchange(admin_socket, "POST", target, json.dumps(command).encode(), f"{_NOBODY}.")


def _exchange(admin_socket: Path, method: str, target: str, sent: bytes | None, nobody: str) -> dict[str, Any]:
    connection = _UnixConnection(admin_socket)
    try:
        connection.request(method, target, sent)
        reply = connection.getresponse()
        body = json.loads(reply.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        what = getattr(error, "strerror", None) or "no answer that can be read"
        hint = "Ask as root or as the service's user." if isinstance(error, PermissionError) else nobody
        raise UnreachableError(f"cannot ask the service: {what}", where=str(admin_socket), hint=hint) from None
    finally:
        connection.close()
    if reply.status != http.client.OK:
        mistaken = reply.status == 404 or (reply.status == 400 and method == "POST")
        refused = UsageError if mistaken else PgbearerError
        problems = "\n  ".join(map(str, body.get("problems", ())))
        said = body.get("error") if isinstance(body, dict) else None
        if said is None:
            raise UsageError(f"answers {reply.status}: not an admin socket", where=str(admin_socket), hint=nobody)
        raise refused(str(said), where=None if mistaken else str(admin_socket), hint=problems or None)
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
