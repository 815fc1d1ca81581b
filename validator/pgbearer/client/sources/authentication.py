"""How a client proves to an authorization server that it is itself: by a secret, a signature, a certificate, a pod."""

import base64
import importlib.util
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote_plus

from pgbearer.client.sources.printed import printed_token
from pgbearer.client.sources.trusted_file import read_private, read_secret, read_trusted
from pgbearer.errors import MissingExtraError

__all__ = [
    "Authentication",
    "ClientCertificate",
    "ClientSecret",
    "FederatedAssertion",
    "Proof",
    "SignedAssertion",
]

_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 section 2.2
_ASSERTION_SECONDS: Final = 50
"""Of an assertion's life; Keycloak takes none that ends more than 60 s ahead, and clocks differ."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What goes into one request to the token endpoint to say who asks. Never shown."""

    fields: Mapping[str, str] = field(repr=False)
    """Of the form."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Authentication(Protocol):
    """One way to prove it. Files are read anew at each proof, so that they can be exchanged while this runs."""

    @property
    def client_id(self) -> str:
        """The client's name at the authorization server, empty if the proof alone says it."""

    @property
    def certificate(self) -> tuple[Path, Path] | None:
        """Certificate and key (PEM) that TLS presents, or None."""

    def prove(self, issuer: str, now: float) -> Proof:
        """A proof for `issuer`, made at `now` (seconds since the epoch). Raises UsageError, NoTokenError."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """``client_secret_basic`` (RFC 6749 section 2.3.1) with the secret in a file that not everybody can read."""

    client_id: str
    file: Path
    certificate: None = None

    def prove(self, issuer: str, now: float) -> Proof:
        """As `Authentication.prove`."""
        del issuer, now
        pair = f"{quote_plus(self.client_id)}:{quote_plus(read_secret(self.file).reveal())}"
        return Proof({}, {"authorization": "Basic " + base64.b64encode(pair.encode()).decode("ascii")})


class SignedAssertion:
    """``private_key_jwt`` (OpenID Connect Core section 9, RFC 7523): a statement that the client's own key signs.

    The algorithm follows from the key: RS256, ES256/384/512 by curve, EdDSA. Its audience is the issuer alone, as RFC
    10070 wants it, so that no other server can use it.

    Args:
        client_id: the client's name at the authorization server.
        file: the private key, PEM, without a password, in a file that not everybody can read.
        key_id: ``kid``, where the authorization server tells the client's keys apart by it.
        algorithm: instead of the key's usual one, e.g. ``PS256``.

    Raises:
        MissingExtraError: without the extra ``jwt``.
    """

    certificate: None = None

    def __init__(self, client_id: str, file: Path, *, key_id: str | None = None, algorithm: str | None = None) -> None:
        for module in ("jwt", "cryptography"):
            if importlib.util.find_spec(module) is None:
                raise MissingExtraError("jwt", module)
        self.client_id = client_id
        self._file = file
        self._key_id = key_id
        self._algorithm = algorithm

    def prove(self, issuer: str, now: float) -> Proof:
        """As `Authentication.prove`."""
        from pgbearer.client.sources.signing import signed  # PyJWT and cryptography, which only this needs

        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": issuer,
            "iat": int(now),
            "exp": int(now) + _ASSERTION_SECONDS,
            "jti": secrets.token_urlsafe(16),
        }
        assertion = signed(claims, self._file, read_private(self._file), key_id=self._key_id, algorithm=self._algorithm)
        return _asserted(assertion, self.client_id)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """``tls_client_auth`` and ``self_signed_tls_client_auth`` (RFC 8705 section 2): TLS shows the certificate."""

    client_id: str
    certificate: tuple[Path, Path]
    """The certificate's file and its key's (PEM); the key's not for everybody to read."""

    def prove(self, issuer: str, now: float) -> Proof:
        """As `Authentication.prove`; the key's file is held to the rules for secrets."""
        del issuer, now
        read_private(self.certificate[1])
        return Proof({"client_id": self.client_id})


@dataclass(frozen=True, slots=True)
class FederatedAssertion:
    """A statement by a third, whom the authorization server trusts to say which client this is: the token of a pod.

    Keycloak calls it federated client authentication (``federated-jwt``). The token's audience is the issuer.
    """

    file: Path
    client_id: str = ""
    certificate: None = None

    def prove(self, issuer: str, now: float) -> Proof:
        """As `Authentication.prove`."""
        del issuer, now
        return _asserted(
            printed_token(read_trusted(self.file), where=str(self.file), asked=None).reveal(), self.client_id
        )


def _asserted(assertion: str, client_id: str) -> Proof:
    named = {"client_id": client_id} if client_id else {}
    return Proof({**named, "client_assertion_type": _ASSERTION_TYPE, "client_assertion": assertion})
