"""One exchange, fed byte by byte or all at once, without a socket."""

import asyncio
import json
import socket
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer.service.exchange import Exchange, Exchanges, Peer, Request, Response

GOOD = b'POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{"a":1}'


class FakeSocket:
    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option, size) == (socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return struct.pack("3i", 4242, 26, 27)


class FakeTransport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"socket": FakeSocket()})
        self.written = b""
        self.closed = False
        self.aborted = asyncio.Event()

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted.set()


class Echoing:
    """A handler that answers with what it got, unless it is told to fail."""

    max_body = 64

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.refusal: Response | None = None
        self.fails = False
        self.connections = 0

    def connected(self, exchange: Exchange) -> Response | None:
        self.connections += 1
        return self.refusal

    def heard(self, method: str, target: str, peer: Peer) -> Response | None:
        return None if target == "/v1/login" else self.fault(404, target, peer)

    async def respond(self, request: Request) -> Response:
        self.seen.append(request)
        if self.fails:
            raise RuntimeError(request.body.decode())
        return Response(200, request.body)

    def fault(self, status: int, why: str, peer: Peer) -> Response:
        return Response(status, json.dumps(why).encode())

    def disconnected(self, exchange: Exchange) -> None:
        self.connections -= 1


@pytest.fixture
def handler() -> Echoing:
    return Echoing()


async def exchange(handler: Echoing, *parts: bytes) -> FakeTransport:
    """What comes of these bytes, once everything has run."""
    live = Exchanges()
    one, transport = Exchange(handler, live), FakeTransport()
    one.connection_made(transport)
    for part in parts:
        one.data_received(part)
    if one._task is not None:
        await asyncio.wait([one._task])
    one.connection_lost(None)
    assert handler.connections == 0
    await live.drained(0)
    return transport


def status(transport: FakeTransport) -> int:
    return int(transport.written.split()[1]) if transport.written else 0


async def test_a_request_is_answered_once_and_closed(handler: Echoing) -> None:
    transport = await exchange(handler, GOOD)
    assert transport.written == (
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\nConnection: close\r\n\r\n{"a":1}'
    )
    assert transport.closed
    (request,) = handler.seen
    assert (request.method, request.target, request.peer) == ("POST", "/v1/login", Peer(4242, 26, 27))


async def test_in_any_pieces_it_is_the_same_request(handler: Echoing) -> None:
    for size in (1, 2, 7, 30):
        parts = [GOOD[at : at + size] for at in range(0, len(GOOD), size)]
        assert status(await exchange(handler, *parts)) == 200
    assert {request.body for request in handler.seen} == {b'{"a":1}'}


async def test_more_than_one_request_is_none(handler: Echoing) -> None:
    assert status(await exchange(handler, GOOD + GOOD)) == 400
    transport = await exchange(handler, GOOD, GOOD)
    assert transport.aborted.is_set()
    assert status(await exchange(handler, GOOD.replace(b"Host: x", b"Connection: close") + b"x")) == 400


async def test_a_refused_connection_is_told_so_when_it_speaks(handler: Echoing) -> None:
    handler.refusal = Response(503, b"{}")
    assert status(await exchange(handler, GOOD)) == 503
    assert status(await exchange(handler)) == 0
    assert handler.seen == []


async def test_a_handler_that_fails_is_answered_for_without_its_words(
    handler: Echoing, caplog: pytest.LogCaptureFixture
) -> None:
    handler.fails = True
    transport = await exchange(handler, GOOD)
    assert status(transport) == 500
    assert "RuntimeError" in caplog.text
    assert '"a"' not in caplog.text


async def test_a_peer_that_goes_away_ends_what_was_under_way(handler: Echoing) -> None:
    started = asyncio.Event()

    class Hanging(Echoing):
        async def respond(self, request: Request) -> Response:
            started.set()
            await asyncio.Event().wait()
            raise AssertionError

    one = Exchange(Hanging(), Exchanges())
    one.connection_made(FakeTransport())
    one.data_received(GOOD)
    await started.wait()
    assert one.eof_received() is True
    one.connection_lost(None)
    assert one._task is not None
    await asyncio.wait([one._task])
    assert one._task.cancelled()


async def test_draining_cuts_what_does_not_finish(handler: Echoing) -> None:
    live, transport = Exchanges(), FakeTransport()
    one = Exchange(handler, live)
    one.connection_made(transport)
    await live.drained(0)
    assert transport.aborted.is_set()
    one.connection_lost(None)
    await live.drained(0)


async def test_an_answer_that_nobody_takes_is_given_up(handler: Echoing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgbearer.service.exchange.CLOSING_SECONDS", 0)
    one, transport = Exchange(handler, Exchanges()), FakeTransport()
    one.connection_made(transport)
    one.data_received(GOOD)
    await asyncio.wait_for(transport.aborted.wait(), 20)
    assert transport.closed
    one.connection_lost(None)


async def test_too_slow_is_told_so(handler: Echoing) -> None:
    transport = FakeTransport()
    one = Exchange(handler, Exchanges())
    one.connection_made(transport)
    one.data_received(GOOD[:20])
    one._too_slow()
    assert status(transport) == 408
    one.data_received(GOOD[20:])
    assert transport.written.count(b"HTTP/1.1") == 1
    one.connection_lost(None)


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_no_bytes_do_anything_but_end_in_an_answer_a_cut_or_more_waiting(parts: list[bytes]) -> None:
    asyncio.run(exchange(Echoing(), *parts))


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=4))
def test_a_changed_request_is_never_more_than_one_answer(at: int, noise: bytes) -> None:
    transport = asyncio.run(exchange(Echoing(), GOOD[:at] + noise + GOOD[at + len(noise) :]))
    assert transport.written.count(b"Content-Length: ") <= 1


def test_a_request_shows_nothing_of_its_body() -> None:
    assert "secret" not in repr(Request("POST", "/v1/login", b"secret", Peer(1, 2, 3)))
