"""What a login gives: the access token, and what renews or ends the login."""

from dataclasses import dataclass

from pgbearer.client.secret import Secret
from pgbearer.client.token import AccessToken

__all__ = ["Grant"]


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer of a token endpoint (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3). Immutable."""

    access: AccessToken
    client_id: str
    """The client that got it, and that alone may renew it (RFC 6749 section 6)."""
    refresh: Secret | None = None
    """Gets the next access token (RFC 6749 section 6); None if the issuer gave none."""
    refresh_expires_at: float | None = None
    """Seconds since the epoch after which `refresh` is of no use; None if not known."""
    id_token: Secret | None = None
    """Says at logout whose session ends (OpenID Connect RP-Initiated Logout section 2); None if none was given."""
