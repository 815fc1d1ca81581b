"""GET and POST within bounds, for asyncio."""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pgbearer.http.bare import httpx
from pgbearer.http.exchange import HEADERS, Unshown, checked_url, read_reply, tls_context
from pgbearer.http.fault import Fault, FetchError, fault_of
from pgbearer.http.reply import Reply

__all__ = ["Fetcher"]

_CONNECT: Final = 0.5
"""The part of the time after which connecting is given up. A handshake that the whole time's end cuts off would leave
its socket open: httpcore (1.0.9) closes one that fails, not one that is cancelled."""


class Fetcher:
    """Fetches over https from servers that `ca_file` vouches for.

    Proxies, ``.netrc`` and CA files named by the environment are not honoured: who starts the service does not thereby
    choose whom it trusts. Safe for many tasks of one event loop, not for several loops.

    Args:
        ca_file: PEM certificates to trust instead of the system's; None for the system's.
        timeout: seconds for one whole exchange, from the name look-up to the last byte.
        max_bytes: the largest body that is read.
        certificate: files with our own certificate and its key (PEM), for servers that ask for one.

    Raises:
        UsageError: a file is not usable.
    """

    def __init__(
        self,
        ca_file: Path | None = None,
        timeout: float = 5.0,
        max_bytes: int = 512 * 1024,
        *,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._client = httpx.AsyncClient(
            verify=tls_context(ca_file, certificate),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(timeout, connect=timeout * _CONNECT),
            headers=HEADERS,
            limits=httpx.Limits(max_connections=10, max_keepalive_connections=2),
        )

    async def get(self, url: str) -> Reply:
        """GET `url`; any status but 3xx is a reply.

        Raises:
            FetchError: if no usable reply came; its `kind` says why.
        """
        return await self._exchange("GET", url, None, Unshown())

    async def post_form(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Reply:
        """POST `fields` as ``application/x-www-form-urlencoded``; any status but 3xx is a reply.

        Raises:
            FetchError: if no usable reply came; its `kind` says why. Fields and headers are in no message.
        """
        form, more = Unshown(fields), Unshown(headers or {})
        del fields, headers  # a traceback that shows locals would show them
        return await self._exchange("POST", url, form, more)

    async def aclose(self) -> None:
        """Close the connections that are kept open."""
        await self._client.aclose()

    async def _exchange(self, method: str, url: str, fields: Unshown | None, headers: Unshown) -> Reply:
        target = checked_url(url)
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream(method, target, data=fields, headers=headers) as response,
            ):
                return await read_reply(response, url=url, max_bytes=self._max_bytes)
        except TimeoutError as error:
            raise FetchError(Fault.TIMEOUT, f"no complete answer within {self._timeout:g} s", url=url) from error
        except httpx.LocalProtocolError:  # its text quotes the header that is none
            raise FetchError(Fault.PROTOCOL, "the question cannot be put into HTTP", url=url) from None
        except (httpx.HTTPError, ssl.SSLError) as error:
            raise fault_of(error, url=url) from error
