"""A programmable decider over TLS: speaks UMA, AuthZEN and OPA at once, says yes, and lies as it is told to.

Plain methods break it, `mend()` mends it. `questions` holds what it was asked.
"""

import contextlib
import json
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qs

from tests.parts.authority import Authority, Certificate

__all__ = ["KINDS", "Asked", "LyingDecider", "Reply", "section"]

KINDS: Final = ("keycloak", "authzen", "opa")

_PATHS: Final = {
    "/realms/corp/protocol/openid-connect/token": "keycloak",
    "/access/v1/evaluation": "authzen",
    "/v1/data/pgbearer/login": "opa",
}


def section(kind: str, base: str, ca_file: Path) -> dict[str, Any]:
    """What the settings say of a decider of a kind that is served at `base`."""
    said: dict[str, Any] = {"type": kind, "url": base, "ca_file": str(ca_file)}
    match kind:
        case "keycloak":
            return said | {"url": f"{base}/realms/corp", "issuer": "corp", "audience": "appdb"}
        case "authzen":
            return said | {"resource": {"type": "role", "id": "{role}"}}
        case _:
            return said


@dataclass(frozen=True)
class Asked:
    """One question as it came."""

    kind: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Any

    @property
    def id(self) -> str:
        """The decision that it is asked for."""
        return self.headers.get("x-request-id", "")

    @property
    def role(self) -> str:
        """The database role that it is about."""
        match self.kind:
            case "keycloak":
                return str(self.body["permission"][0].partition("#")[2])
            case "authzen":
                return str(self.body["resource"]["id"])
            case _:
                return str(self.body["input"]["request"]["role"])


@dataclass(frozen=True)
class Reply:
    """What a question is answered with."""

    status: int
    body: bytes
    headers: Mapping[str, str]


Misbehaviour = Callable[["_Handler", Asked], None]


class LyingDecider:
    """Serves on 127.0.0.1; a context manager.

    Args:
        authority: signs its certificate; clients trust it by `ca_file`.
        certificate: another one than a good one of that authority.
        clients: certificates of clients must be signed by this authority.
    """

    def __init__(
        self, authority: Authority, *, certificate: Certificate | None = None, clients: Authority | None = None
    ) -> None:
        self.ca_file = authority.ca_file
        shown = certificate or authority.server(f"decider-{uuid.uuid4().hex[:8]}")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(shown.cert_file, shown.key_file)
        if clients is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(clients.ca_file)
        self.questions: list[Asked] = []
        self.connections = 0
        self._misbehave: Misbehaviour | None = None
        self._released = threading.Event()
        self._news = threading.Condition()
        self._server = _Server(self, 0)
        self.port = int(self._server.server_address[1])
        self._serve()

    def url(self, kind: str) -> str:
        """Where a decider of this kind is asked, as the settings say it."""
        return str(section(kind, f"https://127.0.0.1:{self.port}", self.ca_file)["url"])

    # what it says

    def yes(self, asked: Asked, **changes: Any) -> Reply:
        """A good yes to a question; `changes` replace members of the decision."""
        match asked.kind:
            case "keycloak":
                return _json(200, {"result": True} | changes)
            case "authzen":
                decision = {"decision": True, "context": {"reason": "on duty"}} | changes
                return _json(200, decision, {"x-request-id": asked.id})
            case _:
                return _json(200, {"result": {"allow": True, "id": asked.body["input"]["id"]} | changes})

    def no(self, asked: Asked) -> Reply:
        """A good no."""
        match asked.kind:
            case "keycloak":
                return _json(403, {"error": "access_denied", "error_description": "not_authorized"})
            case "authzen":
                return self.yes(asked, decision=False, context={"reason": "not on duty"})
            case _:
                return self.yes(asked, allow=False, reason="not on duty")

    # how it is told to

    def mend(self) -> None:
        """Say yes to everything again, if it is up."""
        self._released.set()
        self._released = threading.Event()
        self._misbehave = None
        if self._server.closed:
            self._server = _Server(self, self.port)
            self._serve()

    def deny(self) -> None:
        """Say no, as the protocol has it."""
        self._misbehave = lambda handler, asked: handler.send(self.no(asked))

    def deny_roles(self, *roles: str) -> None:
        """Say no about these database roles only."""
        self._misbehave = lambda handler, asked: handler.send(
            self.no(asked) if asked.role in roles else self.yes(asked)
        )

    def down(self) -> None:
        """Refuse connections, and cut those that there are."""
        self._released.set()
        self._server.stop()

    def hang(self) -> None:
        """Take questions and never answer, until mended."""
        released = self._released

        def wait(_handler: "_Handler", _asked: Asked) -> None:
            released.wait(60)

        self._misbehave = wait

    def hang_for(self, role: str) -> None:
        """Never answer questions about one role, and say yes to all others."""
        released = self._released

        def wait(handler: "_Handler", asked: Asked) -> None:
            if asked.role == role:
                released.wait(60)
            else:
                handler.send(self.yes(asked))

        self._misbehave = wait

    def trickle(self, seconds: float = 0.03) -> None:
        """Send a good yes a byte at a time, so that no single read ever times out."""
        released = self._released

        def slowly(handler: "_Handler", asked: Asked) -> None:
            reply = self.yes(asked)
            handler.send_head(reply, length=len(reply.body))
            for byte in reply.body:
                handler.wfile.write(bytes([byte]))
                if released.wait(seconds):
                    return

        self._misbehave = slowly

    def status(self, code: int, **headers: str) -> None:
        """Answer a good yes, but with this status."""
        self._misbehave = lambda handler, asked: handler.send(
            Reply(code, self.yes(asked).body, {**self.yes(asked).headers, **headers})
        )

    def refuse_us(self) -> None:
        """Refuse our credentials, as an authorization server or a proxy does."""
        self._misbehave = lambda handler, _asked: handler.send(_json(401, {"error": "invalid_client"}))

    def body(self, data: bytes, content_type: str = "application/json") -> None:
        """Answer 200 with this body."""
        self._misbehave = lambda handler, asked: handler.send(
            Reply(200, data, {**self.yes(asked).headers, "content-type": content_type})
        )

    def change(self, **changes: Any) -> None:
        """Answer a good yes with these members of the decision replaced."""
        self._misbehave = lambda handler, asked: handler.send(self.yes(asked, **changes))

    def without_decision(self) -> None:
        """Answer 200 with an object that holds no decision."""
        self.body(b"{}")

    def as_text(self) -> None:
        """Answer with the decision as the string "true"."""
        self._misbehave = lambda handler, asked: handler.send(self.yes(asked, **{_DECISION[asked.kind]: "true"}))

    def wrong_id(self) -> None:
        """Answer about another question."""
        self._misbehave = lambda handler, asked: handler.send(self.yes(_about(asked, "f" * 20)))

    def html(self) -> None:
        """Answer as a proxy's login page does."""
        self.body(b"<!doctype html><title>Sign in</title>", "text/html; charset=utf-8")

    def huge(self, size: int = 10 * 1024 * 1024) -> None:
        """Answer a good yes in a document of this many bytes."""
        self._misbehave = lambda handler, asked: handler.send(_padded(self.yes(asked), size))

    def cut(self) -> None:
        """Close the connection in the middle of the body."""
        self._misbehave = lambda handler, asked: handler.send_head(self.yes(asked), length=1000)

    def swap(self) -> None:
        """Hold questions until there are two, and answer each with what is right for the other."""
        waiting: list[Asked] = []

        def crosswise(handler: "_Handler", asked: Asked) -> None:
            with self._news:
                waiting.append(asked)
                self._news.notify_all()
                self._news.wait_for(lambda: len(waiting) >= 2, 30)
                other = next(one for one in waiting if one is not asked)
            handler.send(self.no(other) if other.role == "app_readonly" else self.yes(other))

        self._misbehave = crosswise

    def twice(self, *, apart: bool) -> None:
        """Answer no and, in one piece with it, yes to a question that is still to come.

        `apart`: each in a TLS record of its own.
        """

        def say(handler: "_Handler", asked: Asked) -> None:
            answers = [_raw(self.no(asked)), _raw(self.yes(asked))]
            handler.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            for record in answers if apart else [b"".join(answers)]:
                handler.wfile.write(record)
            handler.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
            handler.close_connection = False

        self._misbehave = say

    # its life

    def answer(self, handler: "_Handler", asked: Asked) -> None:
        """Answer as it is told to."""
        with self._news:
            self.questions.append(asked)
            self._news.notify_all()
        (self._misbehave or (lambda handler, asked: handler.send(self.yes(asked))))(handler, asked)

    def await_questions(self, count: int) -> None:
        """Wait until so many have come."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.questions) >= count, 30), len(self.questions)

    def close(self) -> None:
        """Stop serving."""
        self._released.set()
        self._server.stop()

    def _serve(self) -> None:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_DECISION: Final = {"keycloak": "result", "authzen": "decision", "opa": "allow"}


def _json(status: int, members: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(members).encode(), {"content-type": "application/json", **(headers or {})})


def _about(asked: Asked, other: str) -> Asked:
    body = asked.body
    if asked.kind == "opa":
        body = {"input": body["input"] | {"id": other}}
    return Asked(asked.kind, {**asked.headers, "x-request-id": other}, body)


def _padded(reply: Reply, size: int) -> Reply:
    members = json.loads(reply.body) | {"padding": "x" * size}
    return Reply(reply.status, json.dumps(members).encode(), reply.headers)


def _raw(reply: Reply) -> bytes:
    """A whole answer as it goes over the wire."""
    members = {**reply.headers, "content-length": str(len(reply.body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in members.items())
    return f"HTTP/1.1 {reply.status} as asked\r\n{head}\r\n".encode() + reply.body


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are written apart
    server: "_Server"

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        kind = _PATHS.get(self.path)
        if kind is None:
            self.send(_json(404, {"error": "not found"}))
            return
        body = parse_qs(raw.decode()) if kind == "keycloak" else json.loads(raw)
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            self.server.decider.answer(self, Asked(kind, headers, body))
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    def send(self, reply: Reply) -> None:
        self.send_head(reply, length=len(reply.body))
        self.wfile.write(reply.body)
        self.close_connection = False

    def send_head(self, reply: Reply, *, length: int) -> None:
        """What follows may be less than `length`; then the connection is over."""
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(length))
        self.end_headers()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing: tests print what they need."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, decider: LyingDecider, port: int) -> None:
        self.decider = decider
        self.closed = False
        self._open: set[Any] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """The handshake is made in the connection's own thread: one that fails holds up nobody."""
        try:
            with self.decider.context.wrap_socket(request, server_side=True) as connection:
                self.decider.connections += 1
                self._open.add(connection)
                super().finish_request(connection, client_address)
                self._open.discard(connection)
        except OSError:
            return

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is none."""

    def stop(self) -> None:
        if self.closed:
            return
        self.closed = True
        self.shutdown()
        self.server_close()
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):  # it has just ended by itself
                connection.shutdown(socket.SHUT_RDWR)
