"""The kinds of issuer that people come from: their addresses, and what the policy says for tokens as they make them.

Why each is so: docs/profiles. That the service would take it is judged of what is made, as any policy.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

__all__ = ["PROFILES", "Profile", "known_by"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What differs between them."""

    path: re.Pattern[str]
    """Of every issuer's address."""
    like: str
    """An address of one."""
    hosts: frozenset[str] = frozenset()
    """Ends of the names of hosts that have no issuers of another kind."""
    identity: str = "sub"
    """The claim that says who it is, for ever."""
    says: Mapping[str, Any] = field(default_factory=dict)
    """More of such an issuer, as pgbearer.yaml has it."""
    session: Mapping[str, str] = field(default_factory=lambda: {"until": "token", "max": "1h"})
    """How long people are in, unless a role says otherwise."""
    go_by: str = "roles"
    """What tokens have that gives roles of the database: roles or groups."""
    openid: bool = False
    """Whether a token that is asked for with the scope ``openid`` has it: lines of pg_hba want what they name."""
    audience: re.Pattern[str] = re.compile(r".*")
    audience_like: str = ""
    """What an audience is, if not any word will do."""
    scope: re.Pattern[str] | None = None
    """Scopes as tokens have them; None: any word, and the one that is called as the audience if nothing is said."""
    scope_like: str = ""
    clients: tuple[str, ...] = ()
    """Who gets tokens if nothing is said; none: it must be said."""
    clients_like: str = ""


_GUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

PROFILES: Final[Mapping[str, Profile]] = {
    # The end of every issuer of Keycloak's is the realm (services/Urls.java of its source, realmIssuer).
    # The rest is what the shipped manifests say.
    "keycloak": Profile(
        path=re.compile(r"(?:/[^/]+)*/realms/[^/]+"),
        like="https://HOST/realms/REALM",
        says={"token_roles": ["resource_access", "postgres", "roles"]},
        session={"until": "sso", "max": "10h"},
        openid=True,
        clients=("pgbearer-cli", "pgbearer-device"),
    ),
    "entra": Profile(
        path=re.compile(rf"/{_GUID}/v2\.0"),
        like="https://login.microsoftonline.com/TENANT/v2.0, with the tenant's id in lower case",
        hosts=frozenset(
            {"microsoftonline.com", "microsoftonline.us", "microsoftonline.cn", "sts.windows.net", "ciamlogin.com"}
        ),
        identity="oid",
        # iat lies five minutes before the token is made, which is for 60 to 90 minutes
        says={"claims": {"oid": "string"}, "max_lifetime": "95m"},
        session={"until": "token", "max": "90m"},
        audience=re.compile(_GUID),
        audience_like="the application id of the API that they are for, in lower case",
        scope=re.compile(r"(?!.*://).+"),
        scope_like="a scope of that API as tokens have it in scp, without the API's address before it",
        clients_like="the ids of applications that may bring tokens (azp)",
    ),
    "okta": Profile(
        path=re.compile(r"/oauth2/[^/]+"),
        like="https://ORGANIZATION.okta.com/oauth2/SERVER, of a custom authorization server",
        hosts=frozenset({"okta.com", "oktapreview.com", "okta-emea.com"}),
        identity="uid",
        says={"claims": {"uid": "string"}, "display": "sub"},
        go_by="groups",
        openid=True,
        clients_like="the ids of clients that may bring tokens (cid)",
    ),
    "rfc9068": Profile(
        path=re.compile(r".*"),
        like="https://...",
        clients_like="the ids of clients that may bring tokens (client_id)",
    ),
}


def known_by(address: str) -> str | None:
    """The only profile that an issuer of this address can have, if it tells."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    for name, profile in PROFILES.items():
        if any(host == end or host.endswith(f".{end}") for end in profile.hosts):
            return name
    return "keycloak" if PROFILES["keycloak"].path.fullmatch(parts.path) else None
