"""SCRAM-SHA-256 as its server, without I/O (RFC 5802, RFC 7677): a client proves that it knows this run's secret."""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

from pgbearer.client.proxy.refusal import RefusedError

__all__ = ["MECHANISM", "ScramExchange", "ScramVerifier", "new_secret"]

MECHANISM: Final = "SCRAM-SHA-256"

_ITERATIONS: Final = 4096
"""RFC 7677 section 4's least, and PostgreSQL's default; the secret is random, so there is nothing to guess slowly."""

_FIRST: Final = re.compile(r"(?P<gs2>[ny],,)(?P<bare>n=[^,]*,r=(?P<nonce>[!-+\--~]{8,256}))(?:,[^\0]*)?")
_FINAL: Final = re.compile(
    r"(?P<without_proof>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>[!-+\--~]+)(?:,[^\0]*)?),p=(?P<proof>[A-Za-z0-9+/=]+)"
)


def new_secret() -> str:
    """A secret for one run of the proxy: 256 random bits, in characters that a passfile needs no escapes for."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class ScramVerifier:
    """What proves a secret without being it (RFC 5802 section 3)."""

    salt: bytes
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: str) -> "ScramVerifier":
        """The verifier of a secret, under a new salt."""
        salt = secrets.token_bytes(16)
        salted = hashlib.pbkdf2_hmac("sha256", secret.encode("ascii"), salt, _ITERATIONS)
        client_key = _hmac(salted, b"Client Key")
        return cls(salt, hashlib.sha256(client_key).digest(), _hmac(salted, b"Server Key"))


class ScramExchange:
    """One client's proof. `begin` with its first message, `finish` with its second.

    Args:
        verifier: of the secret.
        nonce: the server's part of the nonce; random if None.
    """

    def __init__(self, verifier: ScramVerifier, nonce: str | None = None) -> None:
        self._verifier = verifier
        self._nonce = nonce or secrets.token_urlsafe(18)
        self._gs2 = self._bare = self._first = ""

    def begin(self, client_first: bytes) -> bytes:
        """Answer the client's first message.

        Raises:
            RefusedError: it is malformed, or wants channel binding or another's authorization.
        """
        match = _FIRST.fullmatch(_text(client_first))
        if match is None:
            raise _malformed()
        self._gs2, self._bare = match["gs2"], match["bare"] + _text(client_first)[match.end("bare") :]
        self._nonce = match["nonce"] + self._nonce
        salt = base64.b64encode(self._verifier.salt).decode()
        self._first = f"r={self._nonce},s={salt},i={_ITERATIONS}"
        return self._first.encode()

    def finish(self, client_final: bytes) -> bytes:
        """Check the proof, and answer with the server's own.

        Raises:
            RefusedError: the client does not know the secret, or the message is malformed.
        """
        match = _FINAL.fullmatch(_text(client_final))
        if match is None or _decoded(match["binding"]) != self._gs2.encode():
            raise _malformed()
        signed = f"{self._bare},{self._first},{match['without_proof']}".encode()
        proof = _decoded(match["proof"])
        signature = _hmac(self._verifier.stored_key, signed)
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=False))
        known = hmac.compare_digest(hashlib.sha256(client_key).digest(), self._verifier.stored_key)
        if not (hmac.compare_digest(match["nonce"], self._nonce) and len(proof) == len(signature) and known):
            raise RefusedError(
                "28P01",
                "password authentication failed",
                hint="The password is this run's: it is in the proxy's passfile (PGPASSFILE).",
            )
        return b"v=" + base64.b64encode(_hmac(self._verifier.server_key, signed))


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _text(said: bytes) -> str:
    try:
        return said.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed() from None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise _malformed() from None


def _malformed() -> RefusedError:
    return RefusedError("08P01", "malformed SCRAM message")
