"""What differs between the kinds of authorization server, as data."""

from dataclasses import dataclass
from typing import Final

__all__ = ["PROFILES", "Profile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one kind of authorization server writes its access tokens."""

    required: tuple[str, ...]
    """Claims without which a token is refused."""
    client: str
    """The claim that names the client which got the token."""
    clients_required: bool
    """Whether an empty allowlist of clients allows none (True) or any (False)."""
    token_roles: tuple[str, ...]
    """The default path to the list of roles."""
    session_in_jti: bool
    """Whether ``jti`` begins with the kind of session, token and grant (Keycloak's AccessTokenContext)."""
    well_known: tuple[str, ...]
    """Where the metadata is looked for, in order: ``openid-configuration`` is appended to the issuer (OpenID Connect
    Discovery 1.0 section 4), ``oauth-authorization-server`` inserted before its path (RFC 8414 section 3.1)."""


PROFILES: Final = {
    # Keycloak 26.2 and later. typ, azp and the form of jti are its own; it writes no client_id.
    "keycloak": Profile(
        required=("iss", "sub", "aud", "exp", "iat", "jti", "azp", "typ"),
        client="azp",
        clients_required=True,
        token_roles=("realm_access", "roles"),
        session_in_jti=True,
        well_known=("openid-configuration",),
    ),
    # RFC 9068 section 2.2 (claims) and 2.2.3.1 (roles).
    "rfc9068": Profile(
        required=("iss", "sub", "aud", "exp", "iat", "jti", "client_id"),
        client="client_id",
        clients_required=False,
        token_roles=("roles",),
        session_in_jti=False,
        well_known=("openid-configuration", "oauth-authorization-server"),
    ),
}
