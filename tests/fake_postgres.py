"""A server that speaks just enough of PostgreSQL's protocol to ask for a login, and keeps every byte it is sent.

It never runs SQL. What it asks for, and whom it lets in, is set by plain attributes, so that a test can make it lie.
"""

import hashlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["FakePostgres"]

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_AUTH_OK, _AUTH_PASSWORD, _AUTH_SASL, _AUTH_SASL_CONTINUE = 0, 3, 10, 11


@dataclass
class FakePostgres:
    """Listens on `address` (host and port, or the path of a socket) from ``with`` to its end.

    After a login it reports ``token_ref`` as a parameter: the first 12 hex digits of the token's SHA-256. So a test can
    see whose token came in on whose connection.
    """

    address: tuple[str, int] | Path
    tls: ssl.SSLContext | None = None
    asks_for: str = "oauth"  # oauth | password | nothing
    issuer: str = "https://issuer.test"
    scope: str = "openid"
    accepts: Callable[[str], bool] = lambda _token: True
    says: bytes | None = None  # to a startup packet, instead of asking for a login; then it only listens
    before_tls: bytes = b""  # sent with the answer that it speaks TLS
    direct_tls: bool = False  # TLS begins without being asked for
    leaves_on: bytes = b"X"  # the kind of message at which it hangs up without a word
    parameters: dict[str, str] = field(default_factory=dict)  # reported after a login, over its own
    received: list[bytes] = field(default_factory=list, repr=False)
    tokens: list[str] = field(default_factory=list, repr=False)
    discoveries: int = 0
    faults: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Self:
        family = socket.AF_UNIX if isinstance(self.address, Path) else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.bind(str(self.address) if isinstance(self.address, Path) else self.address)
        self._listener.listen(200)
        self._ended = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def _accept(self) -> None:
        sessions = []
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                break
            sessions.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
            sessions[-1].start()
        for session in sessions:
            session.join(5)

    def _serve(self, raw: socket.socket) -> None:
        with _Session(raw, self.received) as session:
            try:
                self._login(session)
            except (EOFError, ConnectionError, ssl.SSLError):
                pass  # the client went away, which is what many tests are about
            except Exception as error:
                self.faults.append(error)
                raise

    def _login(self, session: "_Session") -> None:
        if self.direct_tls and self.tls is not None:
            session.start_tls(self.tls)
        while (code := session.startup()) in (_SSL_REQUEST, _GSS_REQUEST):
            if code == _SSL_REQUEST and self.tls is not None:
                session.send(b"S" + self.before_tls)
                session.start_tls(self.tls)
            else:
                session.send(b"N")
        if self.says is not None:
            session.send(self.says)
            session.listen()
            return
        if self.asks_for == "password":
            session.message(b"R", struct.pack("!i", _AUTH_PASSWORD))
            session.read_message()
            return
        if self.asks_for == "oauth" and not self._oauth(session):
            return
        session.message(b"R", struct.pack("!i", _AUTH_OK))
        reference = hashlib.sha256(self.tokens[-1].encode()).hexdigest()[:12] if self.tokens else "none"
        if self.asks_for == "oauth":
            reference = hashlib.sha256(session.token.encode()).hexdigest()[:12]
        told = {"server_version": "18.6", "client_encoding": "UTF8", "token_ref": reference, **self.parameters}
        for name, value in told.items():
            session.message(b"S", name.encode() + b"\0" + value.encode() + b"\0")
        session.message(b"K", struct.pack("!ii", 1, 1))
        session.message(b"Z", b"I")
        while session.read_message()[0] not in (b"X", self.leaves_on):
            pass

    def _oauth(self, session: "_Session") -> bool:
        session.message(b"R", struct.pack("!i", _AUTH_SASL) + b"OAUTHBEARER\0\0")
        _, body = session.read_message()
        auth = body.partition(b"\x01auth=")[2].partition(b"\x01")[0].decode()
        if auth:
            session.token = auth.removeprefix("Bearer ")
            self.tokens.append(session.token)
            if self.accepts(session.token):
                return True
        else:
            self.discoveries += 1
        refusal = {
            "status": "invalid_token",
            "openid-configuration": f"{self.issuer}/.well-known/openid-configuration",
            "scope": self.scope,
        }
        session.message(b"R", struct.pack("!i", _AUTH_SASL_CONTINUE) + json.dumps(refusal).encode())
        session.read_message()
        session.error("28000", "OAuth bearer authentication failed")
        return False


class _Session:
    """One connection's bytes, in and out."""

    token = ""

    def __init__(self, raw: socket.socket, received: list[bytes]) -> None:
        self._raw: socket.socket = raw
        self._received = received

    def __enter__(self) -> Self:
        self._raw.settimeout(20)
        return self

    def __exit__(self, *_: Any) -> None:
        self._raw.close()

    def start_tls(self, context: ssl.SSLContext) -> None:
        self._raw = context.wrap_socket(self._raw, server_side=True)

    def send(self, data: bytes) -> None:
        self._raw.sendall(data)

    def message(self, kind: bytes, body: bytes) -> None:
        self.send(kind + struct.pack("!i", len(body) + 4) + body)

    def error(self, code: str, text: str) -> None:
        fields = {"S": "FATAL", "V": "FATAL", "C": code, "M": text}
        self.message(b"E", b"".join(f"{key}{value}\0".encode() for key, value in fields.items()) + b"\0")

    def listen(self) -> None:
        """Keep all that still comes."""
        while chunk := self._raw.recv(4096):
            self._received.append(chunk)

    def startup(self) -> int:
        length, code = struct.unpack("!ii", self._read(8))
        self._read(length - 8)
        return int(code)

    def read_message(self) -> tuple[bytes, bytes]:
        kind = self._read(1)
        (length,) = struct.unpack("!i", self._read(4))
        return kind, self._read(length - 4)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self._raw.recv(size - len(data))
            if not chunk:
                raise EOFError
            self._received.append(chunk)
            data += chunk
        return data
