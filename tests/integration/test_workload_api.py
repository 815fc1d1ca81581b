"""The Workload API as a socket that misbehaves: each fault is told, in time, and none is a bundle or an SVID."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from pgbearer.client.sources.failure import NoTokenError
from pgbearer.client.sources.spiffe import SpiffeSource
from pgbearer.errors import UnreachableError
from pgbearer.http import WorkloadApi
from pgbearer.http.workload_api import _field, _number
from tests.issuer import Mint

Answer = Callable[[h2.connection.H2Connection, int], None]
MESSAGE = b"\x0a\x10\x0a\x0aspiffe://a\x12\x02{}"
OK = [(":status", "200"), ("content-type", "application/grpc")]


def framed(message: bytes, compressed: int = 0) -> bytes:
    return bytes([compressed]) + len(message).to_bytes(4, "big") + message


@asynccontextmanager
async def agent(socket: Path, answer: Answer) -> AsyncIterator[list[dict[str, str]]]:
    """Listens, and answers each call by `answer`; what was asked is yielded."""
    asked: list[dict[str, str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    asked.append({str(name): str(value) for name, value in event.headers})
                if isinstance(event, h2.events.DataReceived) and event.data:
                    asked[-1]["message"] = event.data[5:].decode("latin-1")
                if isinstance(event, h2.events.StreamEnded):
                    answer(connection, event.stream_id)
            writer.write(connection.data_to_send())
        writer.close()

    server = await asyncio.start_unix_server(serve, socket)
    async with server:
        yield asked


def says(*chunks: bytes, headers: list[tuple[str, str]] | None = None, end: bool = False) -> Answer:
    def answer(connection: h2.connection.H2Connection, stream: int) -> None:
        connection.send_headers(stream, headers or OK, end_stream=end and not chunks)
        for chunk in chunks:
            connection.send_data(stream, chunk, end_stream=end and chunk is chunks[-1])

    return answer


async def test_the_first_message_is_enough(tmp_path: Path) -> None:
    """The stream stays open, as the real one does for the next change."""
    whole = framed(MESSAGE)
    async with agent(tmp_path / "s", says(whole[:3], whole[3:9], whole[9:] + framed(b"next"))) as asked:
        assert await WorkloadApi(tmp_path / "s").jwt_bundles() == {"spiffe://a": b"{}"}
    (call,) = asked
    assert call[":path"] == "/SpiffeWorkloadAPI/FetchJWTBundles"
    assert call["workload.spiffe.io"] == "true"


DENIED = [*OK, ("grpc-status", "7"), ("grpc-message", "no identity issued")]
FAULTS: dict[str, tuple[Answer, str]] = {
    "refused": (says(headers=DENIED, end=True), "refused: 7 no identity issued"),
    "no gRPC": (says(b"no", headers=[(":status", "404")], end=True), "refused: HTTP 404"),
    "an empty stream": (says(end=True), "without a message"),
    "cut in a message": (says(framed(MESSAGE)[:-1], end=True), "without a message"),
    "compressed": (says(framed(MESSAGE, 1)), "compressed or too large"),
    "endless": (says(b"\0\xff\xff\xff\xff"), "compressed or too large"),
    "another message": (says(framed(b"\x08\x01")), "of another kind"),
    "silence": (lambda _connection, _stream: None, "no complete answer"),
}


@pytest.mark.parametrize(("answer", "said"), FAULTS.values(), ids=FAULTS)
async def test_fault(answer: Answer, said: str, tmp_path: Path) -> None:
    async with agent(tmp_path / "s", answer):
        with pytest.raises(UnreachableError, match=said):
            await WorkloadApi(tmp_path / "s", timeout=0.5).jwt_bundles()


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="cannot be asked"):
        await WorkloadApi(tmp_path / "s").jwt_bundles()


async def test_a_listener_that_speaks_another_language(tmp_path: Path) -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] = serve
    async with await asyncio.start_unix_server(handler, tmp_path / "s"):
        with pytest.raises(UnreachableError, match="Workload API"):
            await WorkloadApi(tmp_path / "s").jwt_bundles()


TOKEN = Mint().token(exp=int(time.time()) + 86_400)
"""Longer than any run of the tests, which begins with making this."""


def svid(name: str, token: str) -> bytes:
    inner = _field(1, name) + _field(2, token)
    return b"\x0a" + _number(len(inner)) + inner


async def test_an_svid_for_an_audience(tmp_path: Path) -> None:
    async with agent(tmp_path / "s", says(framed(svid("spiffe://a/b", TOKEN)), end=True)) as asked:
        source = SpiffeSource("db:shop", spiffe_id="spiffe://a/b", socket=tmp_path / "s", issuer="https://oidc.test")
        token = await source.token_async()
        assert (await source.token_async()) is token  # kept: it is good for minutes
        blocking = SpiffeSource("db:shop", socket=tmp_path / "s")
        assert await asyncio.to_thread(blocking.token) == token
    assert token.reveal() == TOKEN
    assert token.expires_at is not None
    assert source.issuer == "https://oidc.test"
    assert [call[":path"] for call in asked] == ["/SpiffeWorkloadAPI/FetchJWTSVID"] * 2
    assert [call["message"] for call in asked] == ["\n\x07db:shop\x12\x0cspiffe://a/b", "\n\x07db:shop"]


async def test_the_first_identity_is_the_default_and_another_is_had_by_name(tmp_path: Path) -> None:
    other = Mint().token(exp=int(time.time()) + 86_400)
    both = framed(svid("spiffe://a/1", TOKEN) + svid("spiffe://a/2", other))
    async with agent(tmp_path / "s", says(both, end=True)):
        given = [
            (await SpiffeSource("db", socket=tmp_path / "s", spiffe_id=wish).token_async()).reveal()
            for wish in (None, "spiffe://a/1", "spiffe://a/2")
        ]
        assert given == [TOKEN, TOKEN, other]
        with pytest.raises(NoTokenError, match="gave no SVID of spiffe://a/3"):
            await SpiffeSource("db", socket=tmp_path / "s", spiffe_id="spiffe://a/3").token_async()


SVID_FAULTS: dict[str, tuple[Answer, str]] = {
    **{name: fault for name, fault in FAULTS.items() if name != "another message"},
    "no SVID": (says(framed(b""), end=True), "answered without an SVID"),
    "another message": (says(framed(b"\x08\x01")), "of another kind"),
    "no token": (says(framed(svid("spiffe://a/b", "a secret")), end=True), "not a bearer token"),
    "one that has ended": (says(framed(svid("spiffe://a/b", Mint().token(exp=1_000_000))), end=True), "has ended"),
}


@pytest.mark.parametrize(("answer", "said"), SVID_FAULTS.values(), ids=SVID_FAULTS)
async def test_no_svid(answer: Answer, said: str, tmp_path: Path) -> None:
    async with agent(tmp_path / "s", answer):
        with pytest.raises(UnreachableError, match=said) as caught:
            await SpiffeSource("db", socket=tmp_path / "s", timeout=0.5).token_async()
    assert caught.value.where == str(tmp_path / "s")
    assert "secret" not in str(caught.value)
