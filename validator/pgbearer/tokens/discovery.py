"""From an issuer to its jwks_uri: OpenID Connect Discovery 1.0 and RFC 8414, with nothing taken on trust."""

from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

from pgbearer.config.settings import Issuer
from pgbearer.errors import UnreachableError
from pgbearer.http import Reply
from pgbearer.tokens.keys import KeyDocument, KeyDocumentError, read_key_document
from pgbearer.tokens.profiles import PROFILES
from pgbearer.tokens.strict_json import NotStrictJsonError, parse_object

__all__ = ["Getter", "MetadataError", "fetch_keys", "find_jwks_uri", "read_metadata", "well_known_urls"]


class Getter(Protocol):
    """What is needed of `pgbearer.http.Fetcher`."""

    async def get(self, url: str) -> Reply:
        """As `Fetcher.get`."""
        ...

    async def aclose(self) -> None:
        """As `Fetcher.aclose`."""
        ...


class MetadataError(UnreachableError):
    """The issuer answered, but not with what it must answer."""


def well_known_urls(issuer: str) -> dict[str, str]:
    """Where an issuer's metadata stands, by the name of the well-known document.

    ``openid-configuration`` is appended (OpenID Connect Discovery 1.0 section 4: a trailing slash is removed first),
    ``oauth-authorization-server`` stands between host and path (RFC 8414 section 3.1).
    """
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return {
        "openid-configuration": f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        "oauth-authorization-server": f"https://{parts.netloc}/.well-known/oauth-authorization-server{path}",
    }


async def find_jwks_uri(settings: Issuer, fetcher: Getter) -> str:
    """The issuer's jwks_uri, if its metadata names this very issuer and keys on its own origin.

    Metadata is as trustworthy as the TLS of the origin it came from. Keys on another origin would hand the issuer's
    say to whoever runs that one, so this takes a person's word: ``issuers.*.jwks_uri``.

    Raises:
        FetchError: if no reply came.
        MetadataError: if the reply is not this issuer's metadata.
    """
    document = await _metadata(settings, fetcher)
    if document.get("issuer") != settings.issuer:  # RFC 8414 section 3.3: identical, or not used
        raise MetadataError("the metadata names another issuer", where=settings.issuer)
    jwks_uri = document.get("jwks_uri")
    if not isinstance(jwks_uri, str):
        raise MetadataError("the metadata names no jwks_uri", where=settings.issuer)
    if settings.jwks_uri is not None:
        if jwks_uri != settings.jwks_uri:
            raise MetadataError("the jwks_uri is not the one in pgbearer.yaml", where=settings.issuer)
    elif _origin(jwks_uri) != _origin(settings.issuer):
        raise MetadataError(
            "the jwks_uri is not on the issuer's origin",
            where=settings.issuer,
            hint="If this is right, name it: issuers.*.jwks_uri.",
        )
    return jwks_uri


async def fetch_keys(
    jwks_uri: str, fetcher: Getter, *, passed_over: Callable[[Mapping[str, object]], bool] | None = None
) -> KeyDocument:
    """The key set at `jwks_uri`; `passed_over` says of a JWK that it is for another issuer's tokens.

    Raises:
        FetchError: if no reply came.
        MetadataError: if the reply is not a JWK set.
    """
    document = read_metadata(await fetcher.get(jwks_uri), jwks_uri)
    try:
        return read_key_document(document, passed_over=passed_over)
    except KeyDocumentError as error:
        raise MetadataError(f"the key set {error}", where=jwks_uri) from error


def read_metadata(reply: Reply, url: str) -> Mapping[str, object]:
    """The JSON object that `url` answered with.

    Raises:
        MetadataError: the answer is anything else.
    """
    if reply.status != 200:
        raise MetadataError(f"answered {reply.status}", where=url)
    if not reply.is_json:
        raise MetadataError(f"answered {reply.content_type or 'without a type'} instead of JSON"[:100], where=url)
    try:
        return parse_object(reply.body)
    except NotStrictJsonError as error:
        raise MetadataError(f"answered something that is {error}", where=url) from error


async def _metadata(settings: Issuer, fetcher: Getter) -> Mapping[str, object]:
    """The first of the profile's well-known documents that exists; only "there is none" leads to the next."""
    urls = well_known_urls(settings.issuer)
    *others, last = (urls[name] for name in PROFILES[settings.profile].well_known)
    for url in others:
        reply = await fetcher.get(url)
        if reply.status not in (404, 410):
            return read_metadata(reply, url)
    return read_metadata(await fetcher.get(last), last)


def _origin(url: str) -> tuple[str, str | None, int]:
    """RFC 6454 section 4; anything that is no URL gets an origin that equals no issuer's."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        return "", None, 0
    return parts.scheme, parts.hostname, port
