"""One TLS connection of the service's, fed by hand: how records are cut into pieces is the peer's choice."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from pgbearer.service.exchange import Exchange, Exchanges, Handler, Peer, Request, Response
from pgbearer.service.tls_connection import MAX_HANDSHAKE_BYTES, TlsConnection
from pgbearer.service.tls_context import server_context
from pgbearer.wire import MAX_REQUEST_BYTES
from tests.parts.authority import Authority

HEAD = b"POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


class Answering:
    """Answers every request with how long it was."""

    max_body = MAX_REQUEST_BYTES

    def connected(self, exchange: Exchange) -> Response | None:
        return None

    def heard(self, method: str, target: str, peer: Peer) -> Response | None:
        return None

    async def respond(self, request: Request) -> Response:
        return Response(200, b"%d" % len(request.body))

    def fault(self, status: int, why: str, peer: Peer) -> Response:
        return Response(status, why.encode())

    def disconnected(self, exchange: Exchange) -> None:
        pass


class Door:
    """Lets everybody in who comes as far, and keeps why others do not."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.live = Exchanges()

    def came(self, connection: TlsConnection) -> None:
        pass

    def passed(self, connection: TlsConnection, peer: Peer) -> Exchange:
        handler: Handler = Answering()
        return Exchange(handler, self.live, peer)

    def failed(self, connection: TlsConnection, reason: str, why: str) -> None:
        self.faults.append(f"{reason}: {why}")

    def left(self, connection: TlsConnection) -> None:
        pass


class Wire(asyncio.Transport):
    """Keeps what the service sends, for the client to read."""

    def __init__(self, to_client: ssl.MemoryBIO) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self.closed = asyncio.Event()
        self.aborted = asyncio.Event()
        self._to_client = to_client

    def write(self, data: Any) -> None:
        self._to_client.write(data)

    def close(self) -> None:
        self.closed.set()

    def abort(self) -> None:
        self.aborted.set()


class Met:
    """A client's half and the service's half of one connection."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        own, pay = authority.server("service", ["pgbearer.test"]), authority.client("pay")
        self.door = Door()
        context = server_context(own.cert_file, own.key_file, authority.ca_file)
        self.service = TlsConnection(context, self.door, MAX_REQUEST_BYTES)
        self._incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.wire = Wire(self._incoming)
        believing = ssl.create_default_context(cafile=str(authority.ca_file))
        believing.load_cert_chain(pay.cert_file, pay.key_file)
        self.client = believing.wrap_bio(self._incoming, self.outgoing, server_hostname="pgbearer.test")
        self.service.connection_made(self.wire)

    def greet(self) -> None:
        """The handshake, up to the client's last words, which are not sent yet."""
        with pytest.raises(ssl.SSLWantReadError):
            self.client.do_handshake()
        self.service.data_received(self.outgoing.read())
        self.client.do_handshake()


@pytest.fixture
async def met(tmp_path: Path) -> Met:
    return Met(tmp_path)


async def test_the_largest_request_may_come_with_the_end_of_the_handshake(met: Met) -> None:
    met.greet()
    met.client.write(HEAD % MAX_REQUEST_BYTES + b"x" * MAX_REQUEST_BYTES)
    met.service.data_received(met.outgoing.read())
    await asyncio.wait_for(met.wire.closed.wait(), 20)
    assert met.door.faults == []
    assert met.client.read(65536).endswith(b"\r\n\r\n%d" % MAX_REQUEST_BYTES)
    met.service.connection_lost(None)


async def test_a_handshake_is_bounded_in_bytes(met: Met) -> None:
    part = b"\x16\x03\x01\x40\x00\x01\x01\x00\x00" + b"\x00" * (16384 - 4)
    while not met.wire.aborted.is_set() and not met.wire.closed.is_set():
        met.service.data_received(part[:1000])
        part = part[1000:] or b"\x16\x03\x03\x40\x00" + b"\x00" * 16384
    assert met.door.faults[0].startswith("handshake: ")
    assert met.service._came <= MAX_HANDSHAKE_BYTES + 1000
    met.service.connection_lost(None)


async def test_a_connection_is_bounded_in_bytes_whatever_its_records_hold(met: Met) -> None:
    met.greet()
    met.client.write(HEAD % 1)
    met.service.data_received(met.outgoing.read())
    while not met.wire.aborted.is_set():
        for _ in range(100):
            met.client.write(b"x")
        met.service.data_received(met.outgoing.read())
        assert met.service._came < 1_000_000
    met.service.connection_lost(None)


async def test_a_peer_that_takes_no_alert_is_cut_all_the_same(met: Met, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgbearer.service.tls_connection.CLOSING_SECONDS", 0)
    met.service.data_received(b"GET / HTTP/1.1\r\n\r\n")
    assert met.wire.closed.is_set()
    await asyncio.wait_for(met.wire.aborted.wait(), 20)
    met.service.connection_lost(None)
