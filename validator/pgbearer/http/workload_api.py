"""The SPIFFE Workload API's two calls about JWTs, over its Unix socket: the keys of all trust domains, and an SVID.

SPIFFE_Workload_API.md section 6.2, FetchJWTBundles and FetchJWTSVID: gRPC, which is HTTP/2 with messages framed by
their length. The first message holds everything: it is read, and the stream is left. No more of gRPC is needed.
"""

import asyncio
import importlib.util
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar, cast

from pgbearer.errors import MissingExtraError, UnreachableError
from pgbearer.http.bare import httpx

__all__ = ["JwtSvid", "WorkloadApi", "read_bundles", "read_svids", "svid_request"]

T = TypeVar("T")

_SERVICE: Final = "http://localhost/SpiffeWorkloadAPI/"
_HEADERS: Final = {
    "content-type": "application/grpc",
    "te": "trailers",
    "workload.spiffe.io": "true",  # SPIFFE_Workload_Endpoint.md section 6: without it nothing is answered
    "user-agent": "pgbearer",
}
_PREFIX: Final = struct.Struct(">BI")
_MOST_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class JwtSvid:
    """One identity of this process, and the token that says so (JWT-SVID.md)."""

    spiffe_id: str
    token: str = field(repr=False)


class WorkloadApi:
    """Asks the Workload API at `socket`; a connection for each call. For one event loop.

    Raises:
        MissingExtraError: without the extra ``spiffe``.
    """

    def __init__(self, socket: Path, timeout: float = 5.0) -> None:
        if importlib.util.find_spec("h2") is None:
            raise MissingExtraError("spiffe", "h2")
        self._socket = socket
        self._timeout = timeout

    async def jwt_bundles(self) -> Mapping[str, bytes]:
        """The JWT bundles (JWK sets, not read yet) that this process may have, by trust domain (``spiffe://NAME``).

        Raises:
            UnreachableError: no socket, no answer in time, or none that is this message.
        """
        return await self._call("FetchJWTBundles", b"", read_bundles)

    async def jwt_svids(self, audience: str, spiffe_id: str | None = None) -> tuple[JwtSvid, ...]:
        """A JWT-SVID for `audience` of each identity that this process has, or of `spiffe_id` alone; at least one.

        Raises:
            UnreachableError: no socket, no answer in time, none that is this message, or no such identity.
        """
        return await self._call("FetchJWTSVID", svid_request(audience, spiffe_id), read_svids)

    async def _call(self, name: str, request: bytes, read: Callable[[bytes], T]) -> T:
        """Ask, and read the first message of the answer, within the time."""
        try:
            async with asyncio.timeout(self._timeout):
                return read(await self._first_message(name, request))
        except TimeoutError:
            raise self._fault(f"no complete answer within {self._timeout:g} s") from None
        except httpx.HTTPError as error:
            raise self._fault(f"cannot be asked: {str(error) or type(error).__name__}") from None
        except ValueError as error:
            raise self._fault(str(error)) from None

    async def _first_message(self, name: str, request: bytes) -> bytes:
        transport = httpx.AsyncHTTPTransport(uds=str(self._socket), http1=False, http2=True)
        async with (
            httpx.AsyncClient(transport=transport, trust_env=False, timeout=self._timeout) as client,
            client.stream("POST", _SERVICE + name, headers=_HEADERS, content=_framed(request)) as response,
        ):
            if response.status_code != httpx.codes.OK or "grpc-status" in response.headers:
                raise ValueError(_refusal(response))
            stream = cast("AsyncGenerator[bytes]", response.aiter_raw())
            async with aclosing(stream):  # it is left before its end
                return await _message(stream)

    def _fault(self, what: str) -> UnreachableError:
        return UnreachableError(f"the Workload API: {what}"[:300], where=str(self._socket))


def svid_request(audience: str, spiffe_id: str | None) -> bytes:
    """``JWTSVIDRequest``: ``repeated string audience = 1; string spiffe_id = 2``."""
    return _field(1, audience) + (_field(2, spiffe_id) if spiffe_id else b"")


def read_svids(message: bytes) -> tuple[JwtSvid, ...]:
    """``JWTSVIDResponse``: ``repeated JWTSVID svids = 1``, each with ``spiffe_id = 1`` and ``svid = 2``.

    Raises:
        ValueError: it is none, or there is no SVID in it; the message quotes nothing of it.
    """
    svids = []
    for number, entry in _fields(message):
        if number == 1:
            found = dict(_fields(entry))
            svids.append(JwtSvid(*(found.get(place, b"").decode("ascii", errors="replace") for place in (1, 2))))
    if not svids:
        raise ValueError("answered without an SVID")
    return tuple(svids)


def read_bundles(message: bytes) -> dict[str, bytes]:
    """``JWTBundlesResponse``: ``map<string, bytes> bundles = 1``, in protobuf's encoding.

    Raises:
        ValueError: it is none.
    """
    bundles: dict[str, bytes] = {}
    for number, entry in _fields(message):
        if number != 1:
            continue
        pair = dict(_fields(entry))
        name = pair.get(1, b"").decode()
        if name in bundles:
            raise ValueError(f"answered with two bundles for {name!r}")
        bundles[name] = pair.get(2, b"")
    return bundles


async def _message(stream: AsyncIterator[bytes]) -> bytes:
    received = bytearray()
    async for chunk in stream:
        received += chunk
        if len(received) < _PREFIX.size:
            continue
        compressed, length = _PREFIX.unpack_from(received)
        if compressed or length > _MOST_BYTES:
            raise ValueError("answered with a message that is compressed or too large")
        if len(received) >= _PREFIX.size + length:
            return bytes(received[_PREFIX.size : _PREFIX.size + length])
    raise ValueError("answered without a message; is this process registered, or unauthenticated verifiers allowed?")


def _refusal(response: httpx.Response) -> str:
    status = response.headers.get("grpc-status", f"HTTP {response.status_code}")
    return f"refused: {status} {response.headers.get('grpc-message', '')}".rstrip()


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a message; of other kinds there are none here."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        length, position = _varint(data, position)
        if tag & 7 != 2 or position + length > len(data):  # wire type LEN
            raise ValueError("answered with a message of another kind")
        yield tag >> 3, data[position : position + length]
        position += length


def _field(number: int, text: str) -> bytes:
    data = text.encode()
    return _number(number << 3 | 2) + _number(len(data)) + data


def _number(value: int) -> bytes:
    """A varint: seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _framed(message: bytes) -> bytes:
    """Uncompressed, with its length before it."""
    return _PREFIX.pack(0, len(message)) + message


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 35, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("answered with a message that is cut off")
