"""The keys of a SPIFFE trust domain, from where its bundle is: a file, a bundle endpoint, or the Workload API.

SPIFFE_Trust_Domain_and_Bundle.md section 4: a JWK set; keys for JWT-SVIDs say ``use: jwt-svid``. A bundle is of one
trust domain only, and bundles are never put together. Nested servers publish their keys in the bundle of their domain.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

from pgbearer.config.permissions import read_trusted
from pgbearer.config.settings import Issuer
from pgbearer.config.workloads import Spiffe
from pgbearer.errors import UnreachableError
from pgbearer.http import Reply, WorkloadApi
from pgbearer.tokens.discovery import Getter, MetadataError, read_metadata
from pgbearer.tokens.keys import KeyDocument, KeyDocumentError, read_key_document
from pgbearer.tokens.strict_json import NotStrictJsonError, parse_object

__all__ = ["LocalBundles", "keys_in_bundle"]

_MOST_BYTES: Final = 512 * 1024
_USES: Final = ("jwt-svid",)
_USES_OF_THE_API: Final = ("jwt-svid", None)
"""The Workload API gives keys for JWT-SVIDs only, and SPIRE's does not say what for."""


class Bundles(Protocol):
    """What is needed of `pgbearer.http.WorkloadApi`."""

    async def jwt_bundles(self) -> Mapping[str, bytes]:
        """As `WorkloadApi.jwt_bundles`."""
        ...


class LocalBundles:
    """A trust domain's bundle from this machine: a file, or the Workload API. For one event loop.

    A `Getter`, whose one address is the trust domain: ``spiffe://NAME``.

    Args:
        settings: exactly one of ``bundle_file`` and ``workload_api``.
        api: for tests, another than ``workload_api``.

    Raises:
        MissingExtraError: ``workload_api`` without the extra ``spiffe``.
    """

    def __init__(self, settings: Spiffe, api: Bundles | None = None) -> None:
        self._file = settings.bundle_file
        self._api = api or (WorkloadApi(settings.workload_api) if settings.workload_api else None)

    async def get(self, url: str) -> Reply:
        """The bundle of the trust domain `url`.

        Raises:
            UnreachableError: there is none, it cannot be read, or others could have written it.
        """
        return Reply(200, {"content-type": "application/json"}, await self._bundle(url))

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _bundle(self, domain: str) -> bytes:
        if self._api is not None:
            bundles = await self._api.jwt_bundles()
            if domain not in bundles:
                raise MetadataError("the Workload API has no bundle of this trust domain for us", where=domain)
            return bundles[domain]
        if self._file is None:
            raise MetadataError("no bundle is named", where=domain)
        try:
            data, reasons = await asyncio.to_thread(read_trusted, self._file, _MOST_BYTES)
        except OSError as error:
            raise UnreachableError("the bundle cannot be read", where=str(self._file)) from error
        if reasons:
            raise UnreachableError(f"the bundle is not trusted: {reasons[0]}", where=str(self._file))
        return data


async def keys_in_bundle(issuer: Issuer, getter: Getter) -> KeyDocument:
    """The keys for JWT-SVIDs in the bundle of the trust domain ``issuer.issuer``.

    Raises:
        UnreachableError: there is no bundle, or what is there is none.
    """
    endpoint = issuer.spiffe.bundle_url if issuer.spiffe else None
    url = endpoint or issuer.issuer
    reply = await getter.get(url)
    try:
        # an endpoint's content type is read as strictly as any; what comes from this machine has none of its own
        document = read_metadata(reply, url) if endpoint else parse_object(reply.body)
        return read_key_document(document, uses=_USES_OF_THE_API if _from_api(issuer) else _USES)
    except (KeyDocumentError, NotStrictJsonError) as error:
        raise MetadataError(f"the bundle {error}", where=url) from error


def _from_api(issuer: Issuer) -> bool:
    return issuer.spiffe is not None and issuer.spiffe.workload_api is not None
