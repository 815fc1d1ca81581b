"""What a token says before anybody has vouched for it: parsed strictly, trusted with nothing."""

import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pgbearer.tokens.denied import Denied
from pgbearer.tokens.strict_json import NotStrictJsonError, parse_object
from pgbearer.wire import Reason

__all__ = ["ALLOWED_HEADERS", "MAX_TOKEN_BYTES", "Unverified", "parse"]

MAX_TOKEN_BYTES: Final = 32 * 1024

ALLOWED_HEADERS: Final = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})
"""Header parameters that may occur. ``x5t`` only names a certificate by its hash, and is ignored; everything that
brings or points to a key (jwk, jku, x5u, x5c), changes what is signed (b64, crit) or how it is packed (enc, zip, cty)
is refused, and so is what nobody here knows."""

_COMPACT: Final = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)")
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_CLEAN_ENDS: Final = {0: None, 2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}
"""By length modulo 4, the last characters whose unused bits are zero: any other spells the same bytes a second way."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """A compact JWS as parsed; only `Verifier` turns it into `Verified`. Nothing of it is in its repr."""

    header: Mapping[str, object] = field(repr=False)
    payload: Mapping[str, object] = field(repr=False)
    signing_input: bytes = field(repr=False)
    """The bytes that are signed, exactly as they came (RFC 7515 section 5.2)."""
    signature: bytes = field(repr=False)
    digest: bytes = field(repr=False)
    """SHA-256 of the whole token."""

    @property
    def algorithm(self) -> object:
        """The header's ``alg``, of whatever type."""
        return self.header.get("alg")

    @property
    def key_id(self) -> object:
        """The header's ``kid``, of whatever type."""
        return self.header.get("kid")

    @property
    def token_ref(self) -> str:
        """The first 12 hex digits of the digest: names the token in records without being it."""
        return self.digest.hex()[:12]


def parse(token: str | bytes, *, max_bytes: int = MAX_TOKEN_BYTES) -> Unverified:
    """Take a token apart: exactly three segments of canonical base64url, header and payload strict JSON objects.

    Sources: RFC 7515 sections 2, 4 and 7.1 (compact serialisation), RFC 7519 section 7.2, RFC 8725 section 3.10.

    Args:
        token: as it came, without ``Bearer``.
        max_bytes: the longest token that is looked at.

    Raises:
        Denied: token_missing, token_too_large, token_malformed or header_not_allowed.
    """
    raw = _ascii(token, max_bytes)
    match = _COMPACT.fullmatch(raw)
    if match is None:
        raise _malformed(_misshapen(raw))
    header = _object(match[1], "header")
    strange = header.keys() - ALLOWED_HEADERS
    if strange:
        raise Denied(Reason.HEADER_NOT_ALLOWED, f"header parameter {min(strange)!r}")
    return Unverified(
        header=header,
        payload=_object(match[2], "payload"),
        signing_input=raw[: match.end(2)],
        signature=_decoded(match[3], "signature"),
        digest=hashlib.sha256(raw).digest(),
    )


def _ascii(token: str | bytes, max_bytes: int) -> bytes:
    if not token:
        raise Denied(Reason.TOKEN_MISSING, "empty")
    if len(token) > max_bytes:
        raise Denied(Reason.TOKEN_TOO_LARGE, f"longer than {max_bytes} bytes")
    if not token.isascii():
        raise _malformed("holds characters outside ASCII")
    return token if isinstance(token, bytes) else token.encode("ascii")


def _misshapen(raw: bytes) -> str:
    segments = raw.count(b".") + 1
    if segments == 5:
        return "five segments: an encrypted token (JWE)"
    if segments != 3:
        return f"{segments} segment{'' if segments == 1 else 's'} instead of three"
    return "an empty segment, or characters outside base64url"


def _decoded(segment: bytes, name: str) -> bytes:
    """The bytes that `segment` spells, if it is the one way to spell them (RFC 4648 section 3.5)."""
    if not segment:
        return b""
    rest = len(segment) % 4
    ends = _CLEAN_ENDS.get(rest, frozenset())
    if ends is not None and segment[-1] not in ends:
        raise _malformed(f"{name} is not canonical base64url")
    return binascii.a2b_base64(segment.translate(_TO_STANDARD) + b"=" * (-rest % 4))


def _object(segment: bytes, name: str) -> Mapping[str, object]:
    try:
        return parse_object(_decoded(segment, name))
    except NotStrictJsonError as error:
        raise _malformed(f"{name}: {error}") from None


def _malformed(detail: str) -> Denied:
    return Denied(Reason.TOKEN_MALFORMED, detail)
