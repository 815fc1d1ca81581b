"""Kept-open connections to one server that is asked often: its CA, our certificate, bounded time and size."""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from pgbearer.http.bare import httpx
from pgbearer.http.exchange import HEADERS, checked_url, read_reply, tls_context
from pgbearer.http.fault import Fault, FetchError, fault_of
from pgbearer.http.leftover import require_nothing_more
from pgbearer.http.reply import Reply

__all__ = ["Pool"]

_IDLE_SECONDS = 15.0
"""How long a connection waits for its next use: shorter than servers do, so that it is we who close it."""


class Pool:
    """Asks over https; connections are kept, each for one exchange at a time.

    Nothing is sent twice: only connecting is tried a second time. Redirects are not followed, environment and
    ``.netrc`` not honoured, answers read raw. A connection outlives its certificate no more than one exchange: each
    reply is taken only if the certificate that it came under is valid at that moment. For one event loop.

    Every connection has a client of its own, and what did not end well is thrown away with it. httpcore's pool (1.0.9)
    keeps the place of an exchange that is cancelled at the wrong moment, as a database's client that leaves or a limit
    of time does, for ever: after as many as there are places nobody would be answered any more.

    Args:
        ca_file: PEM certificates to trust instead of the system's; None for the system's.
        certificate: files with our own certificate and its key (PEM), for servers that ask for one.
        timeout: seconds for one whole exchange, from waiting for a connection to the last byte.
        max_bytes: the largest body that is read.
        connections: at a time.

    Raises:
        UsageError: a file is not usable.
    """

    def __init__(
        self,
        *,
        ca_file: Path | None = None,
        certificate: tuple[Path, Path] | None = None,
        timeout: float,
        max_bytes: int,
        connections: int,
    ) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._context = tls_context(ca_file, certificate)
        self._places = asyncio.Semaphore(connections)
        self._idle: deque[tuple[float, httpx.AsyncClient]] = deque()
        self._busy: set[httpx.AsyncClient] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        """GET `url`; any status but 3xx is a reply.

        Raises:
            FetchError: no usable reply came; its `kind` says why. Headers are in no message.
        """
        return await self._exchange("GET", url, None, headers)

    async def post(self, url: str, body: bytes, *, content_type: str, headers: Mapping[str, str]) -> Reply:
        """POST `body`; as `get`, and the body is in no message either."""
        return await self._exchange("POST", url, body, {**headers, "content-type": content_type})

    async def aclose(self) -> None:
        """Close the connections, also those in use."""
        self._closed = True
        for client in (*self._busy, *(client for _, client in self._idle)):
            self._throw_away(client)
        self._idle.clear()
        await asyncio.gather(*self._closing)

    async def _exchange(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        target = checked_url(url)
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._connection(url) as client,
                client.stream(method, target, content=body, headers=headers) as response,
            ):
                _require_valid(response, url)
                reply = await read_reply(response, url=url, max_bytes=self._max_bytes)
                await require_nothing_more(response, url=url)
                return reply
        except TimeoutError:
            raise FetchError(Fault.TIMEOUT, f"no complete answer within {self._timeout:g} s", url=url) from None
        except httpx.ConnectTimeout:
            raise FetchError(Fault.CONNECT, "no connection in time", url=url) from None
        except httpx.LocalProtocolError:  # its text quotes the header that is none
            raise FetchError(Fault.PROTOCOL, "the question cannot be put into HTTP", url=url) from None
        except (httpx.HTTPError, ssl.SSLError) as error:
            raise fault_of(error, url=url) from None

    @asynccontextmanager
    async def _connection(self, url: str) -> AsyncIterator[httpx.AsyncClient]:
        """A client for one exchange, kept only if that ends well."""
        async with self._places:
            if self._closed:
                raise FetchError(Fault.CONNECT, "not asked any more", url=url)
            self._forget_unused()
            client = self._idle.pop()[1] if self._idle else self._client()
            self._busy.add(client)
            try:
                yield client
            except BaseException:
                self._throw_away(client)
                raise
            finally:
                self._busy.discard(client)
            self._keep(client)

    def _keep(self, client: httpx.AsyncClient) -> None:
        if self._closed:
            self._throw_away(client)
        else:
            self._idle.append((asyncio.get_running_loop().time(), client))

    def _forget_unused(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._idle and self._idle[0][0] + _IDLE_SECONDS < now:
            self._throw_away(self._idle.popleft()[1])

    def _throw_away(self, client: httpx.AsyncClient) -> None:
        """Close it beside what goes on: whoever is cancelled has no time to wait for that."""
        task = asyncio.create_task(_close(client))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_IDLE_SECONDS)
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(verify=self._context, trust_env=False, limits=limits, retries=1),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(self._timeout, connect=self._timeout / 3),
            headers=HEADERS,
        )


async def _close(client: httpx.AsyncClient) -> None:
    with suppress(httpx.HTTPError, OSError):  # ssl.SSLError is one: what broke off need not end well either
        await client.aclose()


def _require_valid(response: httpx.Response, url: str) -> None:
    """The certificate of a kept connection may have ended since its handshake."""
    tls = response.extensions["network_stream"].get_extra_info("ssl_object")
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate or time.time() >= ssl.cert_time_to_seconds(certificate["notAfter"]):
        raise FetchError(Fault.TLS, "TLS failed: the certificate has expired", url=url)
