"""Where an issuer wants to be asked for tokens: its metadata, as a client reads it (RFC 8414, OpenID Discovery)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from pgbearer.client.login.address import https_parts
from pgbearer.client.login.answer import MetadataError, json_object
from pgbearer.client.login.steps import Get, Steps, ask
from pgbearer.client.plain import plain
from pgbearer.errors import UsageError
from pgbearer.http import Reply

__all__ = ["Metadata", "check_issuer", "discover", "issuer_of", "well_known_urls"]

_WELL_KNOWN: Final = "/.well-known/"
_OPENID: Final = "openid-configuration"
_OAUTH: Final = "oauth-authorization-server"
_NOT_FOUND: Final = 404
_ENDPOINTS: Final = (
    "token_endpoint",
    "authorization_endpoint",
    "device_authorization_endpoint",
    "revocation_endpoint",
    "end_session_endpoint",
)
_ALIASES: Final = "mtls_endpoint_aliases"
_NAMES_ITSELF: Final = "authorization_response_iss_parameter_supported"


@dataclass(frozen=True, slots=True)
class Metadata:
    """The part of an issuer's metadata that a login uses. Every URL in it is https; None if it offers no such thing."""

    issuer: str
    token_endpoint: str
    authorization_endpoint: str | None = None
    """Where a browser begins (RFC 6749 section 3.1)."""
    device_authorization_endpoint: str | None = None
    """Where a device code is had (RFC 8628 section 4)."""
    revocation_endpoint: str | None = None
    """Where a token is revoked (RFC 7009)."""
    end_session_endpoint: str | None = None
    """Where a session is ended (OpenID Connect RP-Initiated Logout section 2.1)."""
    mtls_token_endpoint: str | None = None
    """Where a client that shows a certificate asks for tokens instead, if elsewhere (RFC 8705 section 5)."""
    names_itself: bool = False
    """Whether it promises ``iss`` in each answer through the browser (RFC 9207 section 3)."""


def check_issuer(issuer: str) -> str:
    """Return `issuer` if it is an issuer identifier: an https URL without user, query and fragment.

    Raises:
        UsageError: if not (RFC 8414 section 2).
    """
    parts = https_parts(issuer)
    if parts is None or "?" in issuer or "#" in issuer or parts[1] != plain(parts[1]):
        raise UsageError(
            f"not an issuer: {plain(issuer)!r}",
            hint="Give the issuer's https URL, e.g. https://sso.example.org/realms/corp, without query and fragment.",
        )
    return issuer


def well_known_urls(issuer: str) -> tuple[str, str]:
    """Where an issuer's metadata may stand, in the order to ask.

    OpenID Connect Discovery 1.0 section 4 appends (Keycloak, and what PostgreSQL's HBA makes of a plain ``issuer=``);
    RFC 8414 section 3.1 inserts between host and path.
    """
    parts = urlsplit(issuer)
    origin = f"{parts.scheme}://{parts.netloc}"
    path = parts.path.rstrip("/")
    return f"{issuer.rstrip('/')}{_WELL_KNOWN}{_OPENID}", f"{origin}{_WELL_KNOWN}{_OAUTH}{path}"


@lru_cache(maxsize=64)  # asked at each connection, always of the same few
def issuer_of(url: str) -> str | None:
    """The issuer whose metadata stands at `url`, by the rules of libpq; None if `url` is no such place.

    The same as ``issuer_from_well_known_uri()`` in PostgreSQL's fe-auth-oauth.c: https only, no query, no fragment, the
    well-known part at the end of the path or at its beginning. Byte for byte, nothing is normalised.
    """
    parts = https_parts(url)
    if parts is None or "?" in url or "#" in url:
        return None
    origin, path = parts
    before, found, rest = path.partition(_WELL_KNOWN)
    name, slash, after = rest.partition("/")
    if not found or name not in (_OPENID, _OAUTH) or (slash and before):
        return None
    return f"{origin}{before}{slash}{after}"


def discover(issuer: str) -> Steps[Metadata]:
    """Fetch and check the metadata of `issuer`, as steps.

    Raises:
        UsageError: `issuer` is not an issuer identifier.
        MetadataError: no metadata, not JSON, another issuer's (compared byte for byte, RFC 8414 section 3.3), or an
            endpoint that is not https.
        FetchError: no answer came.
    """
    check_issuer(issuer)
    for url in well_known_urls(issuer):
        reply = yield from ask(Get(url))
        if reply.status != _NOT_FOUND:
            return _decode(issuer, reply, url)
    raise MetadataError(
        "no metadata here (404 at both well-known places)",
        where=plain(issuer),
        hint="Give the issuer as the authorization server names itself; for Keycloak it ends in /realms/NAME.",
    )


def _decode(issuer: str, reply: Reply, url: str) -> Metadata:
    if reply.status != 200:
        raise MetadataError(f"answered {reply.status} when asked for the issuer's metadata", where=url)
    document = json_object(reply, url)
    said = document.get("issuer")
    if said != issuer:
        raise MetadataError(
            f"this is the metadata of another issuer: {plain(repr(said))}, not {plain(issuer)!r}",
            where=url,
            hint="Give the issuer exactly as the server writes it: scheme, host, port, path, trailing slash.",
        )
    endpoints = {name: _endpoint(document, name, url) for name in _ENDPOINTS}
    token = endpoints.pop("token_endpoint")
    if token is None:
        raise MetadataError("the metadata names no token_endpoint", where=url)
    aliases = document.get(_ALIASES)
    mtls = _endpoint(aliases, "token_endpoint", url) if isinstance(aliases, dict) else None
    return Metadata(
        issuer, token, **endpoints, mtls_token_endpoint=mtls, names_itself=document.get(_NAMES_ITSELF) is True
    )


def _endpoint(document: Mapping[str, Any], name: str, url: str) -> str | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or https_parts(value) is None or "#" in value:  # RFC 6749 sections 3.1 and 3.2
        raise MetadataError(f"{name} is not an https URL without fragment: {plain(repr(value))}", where=url)
    return value
