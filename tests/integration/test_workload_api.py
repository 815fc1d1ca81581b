"""The Workload API as a socket that misbehaves: each fault is told, in time, and none is a bundle."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from pgbearer.errors import UnreachableError
from pgbearer.http import WorkloadApi

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
    "an empty stream": (says(end=True), "without a bundle"),
    "cut in a message": (says(framed(MESSAGE)[:-1], end=True), "without a bundle"),
    "compressed": (says(framed(MESSAGE, 1)), "compressed or too large"),
    "endless": (says(b"\0\xff\xff\xff\xff"), "compressed or too large"),
    "another message": (says(framed(b"\x08\x01")), "no JWTBundlesResponse"),
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
