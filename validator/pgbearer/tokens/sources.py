"""Where an issuer's keys are, by profile: behind its metadata, or where a cluster keeps them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pgbearer.config.settings import Issuer
from pgbearer.tokens.api_server import ApiServer
from pgbearer.tokens.bundle import LocalBundles, keys_in_bundle
from pgbearer.tokens.discovery import Getter, MetadataError, fetch_keys, find_jwks_uri, read_metadata
from pgbearer.tokens.keys import KeyDocument
from pgbearer.tokens.profiles import profile_of
from pgbearer.tokens.witness import Witness

__all__ = ["open_source", "published_keys", "source_of"]


def open_source(issuer: Issuer, fetcher: Callable[[Path | None], Getter]) -> tuple[Getter, Witness | None]:
    """What to fetch an issuer's keys with, and whom to ask at each login whether a token still holds.

    Args:
        issuer: its settings.
        fetcher: makes what fetches from anybody, for a CA file.

    Raises:
        UsageError: ``ca_file`` is not usable, or a package is missing.
    """
    if issuer.spiffe is not None and issuer.spiffe.bundle_url is None:
        return LocalBundles(issuer.spiffe), None
    cluster = issuer.kubernetes
    if cluster is None or cluster.api_server is None:
        return fetcher(issuer.ca_file), None
    server = ApiServer(issuer)
    return server, None if cluster.review == "never" else server


async def published_keys(issuer: Issuer, getter: Getter) -> KeyDocument:
    """The keys that the issuer publishes now.

    Raises:
        UnreachableError: no reply came, or none that can be used.
    """
    if issuer.kubernetes is not None and issuer.kubernetes.api_server is not None:
        return await _keys_of_cluster(issuer, issuer.kubernetes.api_server.rstrip("/"), getter)
    if issuer.profile == "spiffe":
        return await keys_in_bundle(issuer, getter)
    is_anothers = profile_of(issuer.profile, issuer.issuer).key_is_anothers

    def passed_over(key: Mapping[str, object]) -> bool:
        return is_anothers is not None and is_anothers(key, issuer.issuer)

    return await fetch_keys(await find_jwks_uri(issuer, getter), getter, passed_over=passed_over)


def source_of(issuer: Issuer) -> tuple[object, ...]:
    """What the keys come from: sets that differ in any of this share nothing."""
    return issuer.issuer, issuer.profile, issuer.jwks_uri, issuer.ca_file, issuer.kubernetes, issuer.spiffe


async def _keys_of_cluster(issuer: Issuer, address: str, getter: Getter) -> KeyDocument:
    """The keys of the API server at `address`, if its metadata names this very issuer.

    The jwks_uri that it names is for others: it holds the address that the server advertises, which need not be one
    that we reach.
    """
    url = f"{address}/.well-known/openid-configuration"
    if read_metadata(await getter.get(url), url).get("issuer") != issuer.issuer:
        raise MetadataError(
            "the API server names another issuer", where=url, hint="It says so in: kubectl get --raw /.well-known/..."
        )
    return await fetch_keys(f"{address}/openid/v1/jwks", getter)
