"""What a login gives: an access token that knows when it ends and never shows itself."""

import hashlib
import hmac
import re
from typing import Final, Never

from pgbearer.errors import UsageError

__all__ = ["MAX_TOKEN_BYTES", "AccessToken", "TokenFormatError"]

MAX_TOKEN_BYTES: Final = 60_000
"""PostgreSQL reads at most 65,535 bytes of a SASL message (auth-sasl.h); the rest is room for its frame."""

_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 section 2.1


class TokenFormatError(UsageError):
    """What was given cannot be a bearer token; the message says why without repeating it."""


class AccessToken:
    """One access token and its end. Immutable; safe to share between threads and tasks.

    The text is reached only through `reveal()`, so that no ``repr``, log line, f-string, pickle or traceback
    shows it by accident. Python cannot promise to wipe a str; the copy that libpq gets is wiped (`hook`).

    Args:
        secret: the token exactly as the authorization server gave it.
        expires_at: seconds since the epoch (UTC) after which it is no longer good, None if not known.
        scope: the scopes it was granted (RFC 6749 section 5.1), space-separated; None if the server did not say.

    Raises:
        TokenFormatError: empty, longer than `MAX_TOKEN_BYTES`, or not a b64token (RFC 6750 section 2.1). A
            character outside that set could end the SASL message early and add to it (RFC 7628 section 3.1).
    """

    __slots__ = ("_secret", "expires_at", "scope")

    _secret: str
    expires_at: float | None
    scope: str | None

    def __init__(self, secret: str, *, expires_at: float | None = None, scope: str | None = None) -> None:
        problem = _problem(secret)
        object.__setattr__(self, "_secret", secret if problem is None else "")
        object.__setattr__(self, "expires_at", expires_at)
        object.__setattr__(self, "scope", scope)
        del secret  # a traceback that shows locals would show it
        if problem is not None:
            raise problem

    def reveal(self) -> str:
        """Return the token's text. Call it where the token is sent; keep the result in no variable that lives on."""
        return self._secret

    @property
    def ref(self) -> str:
        """First 12 hex digits of SHA-256(token): names it in the audit (`token_ref`) without being one."""
        return hashlib.sha256(self._secret.encode("ascii")).hexdigest()[:12]

    def expired(self, now: float, *, margin: float = 0.0) -> bool:
        """Tell whether it has ended, or ends within `margin` seconds of `now` (seconds since the epoch).

        A token without a known end counts as not expired: only the server can say.
        """
        return self.expires_at is not None and now + margin >= self.expires_at

    def __setattr__(self, name: str, value: object) -> Never:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AccessToken):
            return NotImplemented
        return hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self.ref)

    def __repr__(self) -> str:
        return f"<AccessToken of {len(self._secret)} characters, expires_at={self.expires_at}>"

    def __reduce__(self) -> Never:
        raise TypeError("an AccessToken is not pickled: the result would be the token in the clear")


def _problem(secret: str) -> TokenFormatError | None:
    if len(secret) > MAX_TOKEN_BYTES:
        return TokenFormatError(f"the token is longer than {MAX_TOKEN_BYTES:,} bytes: {len(secret):,}")
    if not _B64TOKEN.fullmatch(secret):
        return TokenFormatError(
            f"these {len(secret)} characters are not a bearer token (RFC 6750 section 2.1)",
            hint="Give the access token alone: no quotes, no 'Bearer ', no line break.",
        )
    return None
