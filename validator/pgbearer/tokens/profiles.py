"""What differs between the kinds of authorization server, as data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pgbearer.tokens.entra import entra_claims_agree, entra_key_is_anothers, is_version_2
from pgbearer.tokens.github_actions import GITHUB_TEXTS, github_claims_agree
from pgbearer.tokens.okta import okta_claims_agree
from pgbearer.tokens.service_account import service_account_claims
from pgbearer.tokens.spiffe_id import SPIFFE, spiffe_claims

__all__ = ["ANY_JWT", "PROFILES", "Profile", "profile_of"]

_ACCESS_TOKEN: Final = frozenset({"at+jwt", "application/at+jwt"})
"""RFC 9068 section 2.1; compared without regard to case, as media types are (RFC 7515 section 4.1.9)."""
ANY_JWT: Final = frozenset({"jwt", "application/jwt"})
"""RFC 7519 section 5.1: says nothing of the kind of token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one kind of authorization server writes its access tokens."""

    required: tuple[str, ...]
    """Claims without which a token is refused."""
    client: str
    """The claim that names the client which got the token, where there is one."""
    clients_required: bool
    """Whether an empty allowlist of clients allows none (True) or any (False)."""
    token_roles: tuple[str, ...]
    """The default path to the list of roles."""
    session_in_jti: bool
    """Whether ``jti`` begins with the kind of session, token and grant (Keycloak's AccessTokenContext)."""
    well_known: tuple[str, ...]
    """Where the metadata is looked for, in order: ``openid-configuration`` is appended to the issuer (OpenID Connect
    Discovery 1.0 section 4), ``oauth-authorization-server`` inserted before its path (RFC 8414 section 3.1)."""
    header_types: frozenset[str] = _ACCESS_TOKEN
    """The header's ``typ``, in lower case."""
    untyped: bool = False
    """Whether the header may be without ``typ``."""
    algorithms: frozenset[str] | None = None
    """Signature algorithms that it may use at all (JWT-SVID.md section 2.1); None: what the issuer's settings say."""
    scopes: str = "scope"
    """The claim that holds the scopes."""
    names_it: str = "jti"
    """The claim that names the token."""
    own: Callable[[Mapping[str, object], str], None] | None = None
    """What must agree in payload and issuer that only this kind of server writes; raises `Denied`."""
    key_is_anothers: Callable[[Mapping[str, object], str], bool] | None = None
    """Whether a JWK among those that the server publishes is for tokens of another issuer than this."""
    namespace: str | None = None
    """The namespace of workload identities that its subjects are in; None: none of them."""
    workload: Callable[[Mapping[str, object]], Mapping[str, str]] | None = None
    """Reads from a payload which workload ``sub`` is, by names that ``claims`` may declare; raises `Denied`. None: the
    subjects are people, or clients of their own."""


_ENTRA: Final = ("ver", "tid", "oid")

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
    # JWT-SVID.md section 3; iat, which it does not ask for, is what revocations and the longest lifetime go by.
    "spiffe": Profile(
        required=("sub", "aud", "exp", "iat"),
        client="azp",  # never there
        clients_required=False,
        token_roles=("roles",),
        session_in_jti=False,
        well_known=(),
        header_types=frozenset({"jwt", "jose"}),
        untyped=True,
        namespace=SPIFFE,
        workload=spiffe_claims,
        algorithms=frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}),
    ),
    # Kubernetes 1.21 and later (bound tokens), as pkg/serviceaccount/claims.go writes them; the header has no typ
    # where the API server signs itself, and JWT where an external signer does (KEP-740).
    "kubernetes": Profile(
        required=("iss", "sub", "aud", "exp", "iat", "kubernetes.io"),
        client="azp",  # never there
        clients_required=False,
        token_roles=("roles",),
        session_in_jti=False,
        well_known=("openid-configuration",),
        header_types=ANY_JWT,
        untyped=True,
        namespace="system:serviceaccount:",
        workload=service_account_claims,
    ),
    # Microsoft Entra ID, tokens of version 2.0; the header's typ is JWT, whatever kind of token it is.
    "entra": Profile(
        required=("iss", "sub", "aud", "exp", "iat", "azp", *_ENTRA),
        client="azp",
        clients_required=True,
        token_roles=("roles",),
        session_in_jti=False,
        well_known=("openid-configuration",),
        header_types=ANY_JWT,
        scopes="scp",
        names_it="uti",
        own=entra_claims_agree,
        key_is_anothers=entra_key_is_anothers,
    ),
    # Okta, tokens of a custom authorization server.
    "okta": Profile(
        required=("iss", "sub", "aud", "exp", "iat", "jti", "cid", "scp", "ver"),
        client="cid",
        clients_required=True,
        token_roles=("roles",),
        session_in_jti=False,
        well_known=("openid-configuration", "oauth-authorization-server"),
        untyped=True,
        scopes="scp",
        own=okta_claims_agree,
    ),
    # Jobs of GitHub Actions. The "client" is the organization or account whose repository the job is of, by its id.
    "github-actions": Profile(
        required=("iss", "sub", "aud", "exp", "iat", "jti", *GITHUB_TEXTS),
        client="repository_owner_id",
        clients_required=True,
        token_roles=("roles",),
        session_in_jti=False,
        well_known=("openid-configuration",),
        header_types=ANY_JWT,
        own=github_claims_agree,
    ),
}

_ENTRA_1: Final = replace(
    PROFILES["entra"], required=("iss", "sub", "aud", "exp", "iat", "appid", *_ENTRA), client="appid"
)
"""Tokens of version 1.0 name the client otherwise."""


def profile_of(name: str, issuer: str) -> Profile:
    """The profile of this name, for an issuer with this address: Entra's tokens differ by it."""
    return _ENTRA_1 if name == "entra" and not is_version_2(issuer) else PROFILES[name]
