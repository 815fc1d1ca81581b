"""A programmable issuer: mints any token, and serves metadata and keys over TLS, well or as badly as it is told to.

`Mint` signs and does no I/O, for unit tests. `Issuer` adds the server: plain methods break it, `mend()` mends it.
"""

import base64
import functools
import gzip
import json
import socket
import ssl
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, get_default_algorithms

from tests.parts.authority import Authority

__all__ = ["ABSENT", "AUDIENCE", "CLIENT", "Issuer", "Mint", "SigningKey", "b64"]


class _Absent:
    def __repr__(self) -> str:  # the same in each process: tests are named by it
        return "ABSENT"


ABSENT: Any = _Absent()
"""As a claim or header parameter: leave it out."""
AUDIENCE = "db:demo"
CLIENT = "pgbearer-cli"

_CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
_ML_DSA: dict[str, Any] = {
    "ML-DSA-44": mldsa.MLDSA44PrivateKey,
    "ML-DSA-65": mldsa.MLDSA65PrivateKey,
    "ML-DSA-87": mldsa.MLDSA87PrivateKey,
}


def b64(data: bytes) -> str:
    """Canonical base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@functools.cache
def _private_key(algorithm: str, serial: int, bits: int) -> Any:
    """Keys are slow to make and need not be fresh: the same arguments give the same key within a run."""
    del serial
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm])
    if algorithm in _ML_DSA:
        return _ML_DSA[algorithm].generate()
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@dataclass(frozen=True)
class SigningKey:
    """A key pair with its kid and the one algorithm it signs with."""

    kid: str
    algorithm: str = "RS256"
    serial: int = 1
    bits: int = 2048

    @property
    def private(self) -> Any:
        return _private_key(self.algorithm, self.serial, self.bits)

    def sign(self, message: bytes) -> bytes:
        if self.algorithm in _ML_DSA:
            signature: bytes = self.private.sign(message)
            return signature
        return get_default_algorithms()[self.algorithm].sign(message, self.private)

    def jwk(self, **changes: Any) -> dict[str, Any]:
        """The public half as published; `changes` replace members, ABSENT removes them."""
        public = self.private.public_key()
        if self.algorithm in _ML_DSA:
            members = {"kty": "AKP", "pub": b64(public.public_bytes_raw())}
            return _changed(members | {"kid": self.kid, "use": "sig", "alg": self.algorithm}, changes)
        kinds = {"E": ECAlgorithm, "R": RSAAlgorithm, "P": RSAAlgorithm}
        kind: Any = OKPAlgorithm if self.algorithm == "EdDSA" else kinds[self.algorithm[0]]
        members = kind.to_jwk(public, as_dict=True)
        members.pop("key_ops", None)
        return _changed(members | {"kid": self.kid, "use": "sig", "alg": self.algorithm}, changes)


def _changed(members: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**members, **changes}.items() if value is not ABSENT}


class Mint:
    """Makes tokens as Keycloak does, changed as a test asks."""

    def __init__(self, url: str = "https://sso.example.com/realms/demo", *, algorithm: str = "RS256") -> None:
        self.url = url
        self.keys = [SigningKey("key-1", algorithm)]

    @property
    def key(self) -> SigningKey:
        """The key that signs now."""
        return self.keys[-1]

    def rotate_keys(self, *, keep: bool = False) -> SigningKey:
        """Sign with a new key from now on; the old one is published no more, unless it is to be kept."""
        serial = self.key.serial + 1
        new = SigningKey(f"key-{serial}", self.key.algorithm, serial)
        self.keys = [*self.keys, new] if keep else [new]
        return new

    def jwks(self) -> dict[str, Any]:
        """The key set as published."""
        return {"keys": [key.jwk() for key in self.keys]}

    def bundle(self) -> dict[str, Any]:
        """The same keys as the bundle of a SPIFFE trust domain."""
        return {"keys": [key.jwk(use="jwt-svid", alg=ABSENT) for key in self.keys]}

    @property
    def bundle_url(self) -> str:
        """Where that is."""
        return f"{self.url}/bundle"

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims of a good Keycloak access token for alice; `changes` replace claims, ABSENT removes them."""
        now = int(time.time())
        good = {
            "iss": self.url,
            "sub": "f1a6bb5e-6f40-4b4e-8b55-5f2b29a35b2e",
            "aud": AUDIENCE,
            "exp": now + 300,
            "iat": now,
            "jti": f"onrtdg:{uuid.uuid4()}",
            "typ": "Bearer",
            "azp": CLIENT,
            "sid": "5f3a7c1e",
            "scope": "openid db:demo",
            "realm_access": {"roles": ["db-read"]},
            "groups": ["/staff"],
            "preferred_username": "alice",
        }
        return _changed(good, changes)

    def header(self, **changes: Any) -> dict[str, Any]:
        """The header of a good access token."""
        return _changed({"alg": self.key.algorithm, "typ": "at+jwt", "kid": self.key.kid}, changes)

    def token(self, *, header: Mapping[str, Any] | None = None, key: SigningKey | None = None, **claims: Any) -> str:
        """A signed token: a good one, but for what is changed."""
        head = self.header(**(header or {}))
        return self.sign(json.dumps(head).encode(), json.dumps(self.claims(**claims)).encode(), key=key)

    def sign(self, header: bytes, payload: bytes, *, key: SigningKey | None = None) -> str:
        """Sign exactly these bytes, JSON or not."""
        message = f"{b64(header)}.{b64(payload)}"
        return f"{message}.{b64((key or self.key).sign(message.encode()))}"


@dataclass
class _Answer:
    """What one request is answered with."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


_Misbehaviour = Callable[["_Handler", _Answer], None]


class Issuer(Mint):
    """A mint with a server on 127.0.0.1; a context manager.

    `requests` counts requests by path. Every method that breaks it holds until `mend()` or the next one.
    """

    def __init__(self, authority: Authority, *, algorithm: str = "RS256") -> None:
        self.ca_file = authority.ca_file
        certificate = authority.server(f"issuer-{uuid.uuid4().hex[:8]}")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate.cert_file, certificate.key_file)
        self.requests: Counter[str] = Counter()
        self._misbehave: _Misbehaviour | None = None
        self._released = threading.Event()
        self._metadata: dict[str, Any] = {}
        self._keys_change: Callable[[dict[str, Any]], Any] | None = None
        self._without: set[str] = set()
        self._server = _Server(self, 0)
        self.port = int(self._server.server_address[1])
        super().__init__(f"https://127.0.0.1:{self.port}/realms/demo", algorithm=algorithm)
        self._serve()

    @property
    def well_known(self) -> str:
        """Its OpenID Connect metadata."""
        return f"{self.url}/.well-known/openid-configuration"

    @property
    def oauth_well_known(self) -> str:
        """Its RFC 8414 metadata."""
        return f"https://127.0.0.1:{self.port}/.well-known/oauth-authorization-server/realms/demo"

    @property
    def jwks_uri(self) -> str:
        """Its key set."""
        return f"{self.url}/protocol/openid-connect/certs"

    @property
    def key_fetches(self) -> int:
        """How often the key set was asked for."""
        return self.requests[self.jwks_uri.partition(str(self.port))[2]]

    # what it serves

    def answer(self, path: str) -> _Answer | None:
        """The right answer for a path; None if there is none."""
        place = f"https://127.0.0.1:{self.port}{path}"
        if place in {self.well_known, self.oauth_well_known} - self._without:
            metadata = {"issuer": self.url, "jwks_uri": self.jwks_uri} | self._metadata
            return _Answer(json.dumps(_changed(metadata, {})).encode())
        if place == self.jwks_uri:
            keys = self.jwks()
            return _Answer(json.dumps(self._keys_change(keys) if self._keys_change else keys).encode())
        if place == self.bundle_url:
            return _Answer(json.dumps(self.bundle()).encode())
        return None

    def answer_form(self, path: str, fields: Mapping[str, str]) -> tuple[int, Mapping[str, Any]] | None:
        """Status and JSON for a form sent to a path; None if there is none: this issuer only serves keys."""
        del path, fields
        return None

    def answer_post(
        self, path: str, fields: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, Any]] | None:
        """As `answer_form`, for who looks at the headers too; their names are in lower case."""
        del headers
        return self.answer_form(path, fields)

    def misbehaviour(self) -> _Misbehaviour | None:
        """How it answers now, if not well."""
        return self._misbehave

    # how it breaks

    def mend(self) -> None:
        """Be a good issuer again."""
        self._released.set()
        self._released = threading.Event()
        self._misbehave, self._keys_change = None, None
        self._metadata.clear()
        self._without.clear()
        if self._server.closed:
            self._server = _Server(self, self.port)
            self._serve()

    def down(self) -> None:
        """Refuse connections."""
        self._released.set()
        self._server.stop()

    def hang(self) -> None:
        """Take the request and never answer, until mended."""
        released = self._released

        def wait(_handler: _Handler, _answer: _Answer) -> None:
            released.wait(60)

        self._misbehave = wait

    def trickle(self, seconds: float = 0.05) -> None:
        """Send the answer a byte at a time, so that no single read ever times out."""
        released = self._released

        def slowly(handler: _Handler, answer: _Answer) -> None:
            handler.send_head(answer, length=len(answer.body))
            for byte in answer.body:
                handler.wfile.write(bytes([byte]))
                if released.wait(seconds):
                    return

        self._misbehave = slowly

    def status(self, code: int) -> None:
        """Answer everything with this status and the right body."""
        self._misbehave = lambda handler, answer: handler.send(_Answer(answer.body, code))

    def redirect(self, to: str = "https://example.com/", code: int = 302) -> None:
        """Answer that it is elsewhere."""
        self._misbehave = lambda handler, _answer: handler.send(_Answer(b"", code, {"location": to}))

    def body(self, data: bytes, content_type: str = "application/json") -> None:
        """Answer 200 with this body."""
        self._misbehave = lambda handler, _answer: handler.send(_Answer(data, 200, {"content-type": content_type}))

    def html(self) -> None:
        """Answer as a proxy's login page does."""
        self.body(b"<!doctype html><title>Sign in</title>", "text/html; charset=utf-8")

    def huge_body(self, size: int = 2 * 1024 * 1024) -> None:
        """Answer with a JSON document of this many bytes."""
        self.body(b'{"keys": [], "padding": "' + b"x" * size + b'"}')

    def encoded(self, encoding: str) -> None:
        """Say that the right answer is encoded so."""
        headers = {"content-type": "application/json", "content-encoding": encoding}
        self._misbehave = lambda handler, answer: handler.send(_Answer(answer.body, 200, headers))

    def gzip_bomb(self) -> None:
        """Answer compressed although only identity was asked for: few bytes that become 64 MiB."""
        bomb = gzip.compress(b" " * (64 * 1024 * 1024), 9)
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        self._misbehave = lambda handler, _answer: handler.send(_Answer(bomb, 200, headers))

    def cut(self) -> None:
        """Close the connection in the middle of the body."""
        self._misbehave = lambda handler, answer: handler.send_head(answer, length=len(answer.body) + 100)

    def wrong_issuer(self, issuer: Any = "https://evil.example/realms/demo") -> None:
        """Name another issuer in the metadata."""
        self._metadata["issuer"] = issuer

    def keys_elsewhere(self, url: Any) -> None:
        """Name this jwks_uri in the metadata; ABSENT for none."""
        self._metadata["jwks_uri"] = url

    def without_openid_metadata(self) -> None:
        """Serve RFC 8414 metadata only."""
        self._without.add(self.well_known)

    def change_keys(self, **changes: Any) -> None:
        """Publish every key with these members changed, e.g. ``use=ABSENT``."""
        self._keys_change = lambda keys: {"keys": [_changed(key, changes) for key in keys["keys"]]}

    def keys_without_use(self) -> None:
        """Publish keys that do not say what they are for."""
        self.change_keys(use=ABSENT)

    def weak_keys(self) -> None:
        """Sign with, and publish, an RSA key of 1024 bits."""
        self.keys = [SigningKey("weak", "RS256", bits=1024)]

    def publish(self, document: Any) -> None:
        """Publish this document instead of the key set."""
        self._keys_change = lambda _keys: document

    def no_keys(self) -> None:
        """Publish an empty key set."""
        self._keys_change = lambda _keys: {"keys": []}

    # its life

    def _serve(self) -> None:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._released.set()
        self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    """TLS on each connection, handshakes in the connection's own thread."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, issuer: Issuer, port: int) -> None:
        self.issuer = issuer
        self.closed = False
        super().__init__(("127.0.0.1", port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        return self.issuer.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up or refuse our certificate are what is being tested."""

    def stop(self) -> None:
        if not self.closed:
            self.closed = True
            self.shutdown()
            self.server_close()


class _Handler(BaseHTTPRequestHandler):
    """One request a connection."""

    server: _Server
    timeout = 60

    def do_GET(self) -> None:
        self._reply(self.server.issuer.answer(self.path))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.issuer.answer_post(self.path, dict(parse_qsl(body, keep_blank_values=True)), headers)
        self._reply(None if answer is None else _Answer(json.dumps(answer[1]).encode(), answer[0]))

    def _reply(self, found: _Answer | None) -> None:
        issuer = self.server.issuer
        issuer.requests[self.path] += 1
        answer = found or _Answer(b"{}", 404)
        misbehave = issuer.misbehaviour()
        if misbehave is None:
            self.send(answer)
        else:
            misbehave(self, answer)

    def send_head(self, answer: _Answer, *, length: int) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(length))
        self.send_header("cache-control", "no-cache")
        self.end_headers()

    def send(self, answer: _Answer) -> None:
        self.send_head(answer, length=len(answer.body))
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""
