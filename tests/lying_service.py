"""A login service that says whatever a test wants: allow, deny, nothing, half, or nonsense.

It listens on a Unix socket in a thread of its own and answers each connection by the behaviour set last. Requests are
kept as they came, so that a test can look at what the module said.
"""

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["LyingService"]

_PATIENCE = 20.0
"""Seconds after which a wait of the service itself is given up, so that no test hangs on it."""

Behaviour = Callable[[socket.socket, dict[str, Any]], None]


class LyingService:
    """Listens on `path` from start() to stop(); `requests` and `heads` hold what came. Methods set what it does next.

    Args:
        path: of the socket, at most 107 bytes.
        uid: whose socket it shall be in the eyes of getpeereid(): needs root if it is not our own.
    """

    def __init__(self, path: Path, *, uid: int | None = None) -> None:
        self.path = path
        self.requests: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self._uid = uid
        self._behaviour: Behaviour = self._answer_with({"decision": "deny", "reason": "no_rule"})
        self._news = threading.Condition()
        self._closing = threading.Event()
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()

    # ---- its life

    def start(self, *, backlog: int = 512) -> None:
        """Bind and answer from now on."""
        self.listen(backlog=backlog)
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def listen(self, *, backlog: int) -> None:
        """Bind, and never accept: connections fill the backlog."""
        self._closing.clear()
        self._listener = self._bind()
        with _effective_uid(self._uid):  # the kernel notes who calls listen(2), for SO_PEERCRED
            self._listener.listen(backlog)

    def stop(self) -> None:
        """Stop listening and cut every open connection; start() may follow."""
        self._closing.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.path.unlink(missing_ok=True)
        with self._news:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def wait_for_requests(self, count: int) -> None:
        """Return when `count` requests have come in all."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.requests) >= count, _PATIENCE):
                raise TimeoutError(f"{len(self.requests)} of {count} requests came")

    # ---- what it says: decisions

    def allow(self, identity: str = "alice", *, ends_in: float | None = None, **members: Any) -> None:
        """Allow as `identity`, for `ends_in` seconds or without end; `members` replace or add."""
        self._behaviour = self._answer_with({"decision": "allow", "identity": identity, **members}, ends_in)

    def deny(self, reason: str, **members: Any) -> None:
        """Deny for `reason`."""
        self._behaviour = self._answer_with({"decision": "deny", "reason": reason, **members})

    # ---- what it says: lies in a well-formed answer

    def say(self, body: bytes | str | Callable[[dict[str, Any]], bytes | str], **head: str) -> None:
        """Answer 200 with `body`, or with what it makes of the allowing answer; `head` replaces headers."""

        def behave(connection: socket.socket, request: dict[str, Any]) -> None:
            made = body(_allowing(request)) if callable(body) else body
            connection.sendall(_http(made if isinstance(made, bytes) else made.encode(), **head))

        self._behaviour = behave

    def leave_out(self, member: str) -> None:
        """Allow, but without `member`."""
        self.say(lambda answer: json.dumps({name: value for name, value in answer.items() if name != member}))

    def twice(self, member: str) -> None:
        """Allow, with `member` there twice, and the same."""
        self.say(lambda answer: f'{{"{member}":{json.dumps(answer[member])},' + json.dumps(answer)[1:])

    # ---- what it says: faults below the answer

    def status(self, code: int, body: bytes = b"{}") -> None:
        """Answer with status `code`."""
        self.raw(_http(body, status=str(code)))

    def raw(self, data: bytes) -> None:
        """Send exactly `data`, then close."""
        self._behaviour = lambda connection, _request: connection.sendall(data)

    def hang(self) -> None:
        """Read the request and never answer."""

        def behave(_connection: socket.socket, _request: dict[str, Any]) -> None:
            self._closing.wait()

        self._behaviour = behave

    def cut_after(self, count: int) -> None:
        """Close after `count` bytes of an allowing answer."""

        def behave(connection: socket.socket, request: dict[str, Any]) -> None:
            connection.sendall(_http(json.dumps(_allowing(request)).encode())[:count])

        self._behaviour = behave

    def trickle(self, count: int, every: float = 0.02) -> None:
        """Send an allowing answer, `count` bytes every `every` seconds."""

        def behave(connection: socket.socket, request: dict[str, Any]) -> None:
            data = _http(json.dumps(_allowing(request)).encode())
            for start in range(0, len(data), count):
                connection.sendall(data[start : start + count])
                if self._closing.wait(every):
                    return

        self._behaviour = behave

    # ---- inside

    def _bind(self) -> socket.socket:
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        self.path.chmod(0o666)
        return listener

    def _greet(self, connection: socket.socket) -> socket.socket:
        """What comes before the request."""
        return connection

    def _answer_with(self, members: dict[str, Any], ends_in: float | None = None) -> Behaviour:
        def behave(connection: socket.socket, request: dict[str, Any]) -> None:
            answer = {**_allowing(request, ends_in), **members}
            connection.sendall(_http(json.dumps(answer, ensure_ascii=False).encode()))

        return behave

    def _accept(self, listener: socket.socket) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError), accepted:
            with self._news:
                self._open.add(accepted)
            accepted.settimeout(_PATIENCE)
            with self._greet(accepted) as connection:
                head, request = _read_request(connection)
                with self._news:
                    self.heads.append(head)
                    self.requests.append(request)
                    self._news.notify_all()
                self._behaviour(connection, request)
        with self._news:
            self._open.discard(accepted)


def _allowing(request: dict[str, Any], ends_in: float | None = None) -> dict[str, Any]:
    ends_at = None if ends_in is None else int((time.time() + ends_in) * 1000)
    return {
        "v": 1,
        **{name: request[name] for name in ("request_id", "role", "database")},
        "decision_id": secrets.token_hex(8),
        "decision": "allow",
        "reason": "allowed",
        "identity": "alice",
        "ends_at": ends_at,
        "ends_in_ms": None if ends_in is None else int(ends_in * 1000),
        "claims": {},
    }


def _http(body: bytes, *, status: str = "200", **replaced: str) -> bytes:
    headers = {"content_type": "application/json", "content_length": str(len(body)), "connection": "close", **replaced}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value]
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *lines, "", ""]).encode() + body


def _read_request(connection: socket.socket) -> tuple[str, dict[str, Any]]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += _some(connection)
    request: dict[str, Any] = json.loads(body)
    return head.decode(), request


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the module closed the connection before its request was complete")
    return data


@contextlib.contextmanager
def _effective_uid(uid: int | None) -> Any:
    before = os.geteuid()
    if uid is not None:
        os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(before)
