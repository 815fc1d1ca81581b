"""Who may come in at the proxy, and what strangers and the broken can do to those who may: nothing.

The server behind it is a fake; test_proxy.py has a real one.
"""

import asyncio
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pgbearer.client import StaticSource
from pgbearer.client.proxy import Inherited, Listen, ListenTcp, Proxy, ProxySettings, Upstream
from pgbearer.client.proxy.listen import Listening
from pgbearer.errors import UsageError
from tests.fake_postgres import FakePostgres
from tests.parts.needs import ROOT
from tests.parts.postgres import as_server, server_uid
from tests.parts.processes import wait_until
from tests.proxied import ISSUER, SECRET, Proxied, proxied
from tests.raw_client import RawClient, fields, startup_packet

HERE = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")  # short: a socket's path has at most 107 bytes


@pytest.fixture
def server(folder: Path) -> Iterator[FakePostgres]:
    with FakePostgres(folder / ".s.PGSQL.5432") as serving:
        yield serving
    assert serving.faults == []


@pytest.fixture
async def proxy(server: FakePostgres, folder: Path) -> AsyncIterator[Proxied]:
    async with proxied(folder, f"host={folder}") as running:
        yield running
        await (await running.connect()).close()  # it is alive, whatever the test did


# who


async def test_the_socket_is_for_its_owner(proxy: Proxied) -> None:
    modes = [path.stat().st_mode & 0o777 for path in (proxy.folder, proxy.socket)]
    assert modes == [0o700, 0o600]


STRANGER = """
import socket, sys
with socket.socket(socket.AF_UNIX) as client:
    client.connect(sys.argv[1])
    client.sendall(bytes.fromhex(sys.argv[2]))
    sys.stdout.write(client.recv(4096).hex())
"""


def open_the_way_to(folder: Path) -> None:
    """Let any uid enter `folder`, and the folders that pytest has made above it."""
    for path in (folder, *folder.parents):
        if path == Path(tempfile.gettempdir()):
            return
        path.chmod(0o755)
    raise AssertionError(f"{folder} is not a temporary folder")


async def as_stranger(where: Path) -> tuple[int, bytes]:
    """What a process of the servers' uid is told there."""
    command = as_server(sys.executable, "-c", STRANGER, where, startup_packet().hex())
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = await process.communicate()
    return process.returncode or 0, bytes.fromhex(out.decode()) or err


async def test_the_kernel_keeps_other_users_out(proxy: Proxied, need: Callable[..., None]) -> None:
    need(ROOT)
    code, said = await as_stranger(proxy.socket)
    assert code != 0
    assert b"Permission denied" in said


async def test_another_uid_is_refused_even_where_it_gets_through(
    proxy: Proxied, server: FakePostgres, need: Callable[..., None]
) -> None:
    need(ROOT)
    place = _where_anybody_gets(proxy)
    _, said = await as_stranger(place)
    assert said[:1] == b"E"
    assert fields(said[5:])["C"] == "28000"
    assert f"uid {server_uid()} may not use this proxy" in fields(said[5:])["M"]
    assert server.received == []


def _where_anybody_gets(proxy: Proxied) -> Path:
    """The same socket, as if somebody had opened its folder."""
    open_the_way_to(proxy.folder)
    proxy.socket.chmod(0o666)
    return proxy.socket


async def test_one_proxy_for_several_users_gives_each_their_own(
    server: FakePostgres, folder: Path, need: Callable[..., None]
) -> None:
    need(ROOT)
    open_the_way_to(folder)
    sources = {os.geteuid(): StaticSource("mine"), server_uid(): StaticSource("theirs")}
    upstream = Upstream("db", f"host={folder}", issuer=ISSUER, admit=sources.get)
    place = folder / "shared"
    async with Proxy([(upstream, [Listen(place, shared=True)])], ProxySettings(drain_seconds=0)):
        await (await psycopg.AsyncConnection.connect(f"host={place} user=app")).close()
        _, said = await as_stranger(place / ".s.PGSQL.5432")
        assert said[:1] == b"R"
    assert sorted(server.tokens) == ["mine", "theirs"]


async def test_one_user_does_not_take_all_the_connections_of_the_others(
    server: FakePostgres, folder: Path, need: Callable[..., None]
) -> None:
    need(ROOT)
    open_the_way_to(folder)
    sources = {os.geteuid(): StaticSource("mine"), server_uid(): StaticSource("theirs")}
    upstream = Upstream("db", f"host={folder}", issuer=ISSUER, admit=sources.get)
    place, settings = folder / "shared", ProxySettings(most_connections=4, drain_seconds=0)
    async with Proxy([(upstream, [Listen(place, shared=True)])], settings):
        held = [await psycopg.AsyncConnection.connect(f"host={place} user=app") for _ in range(2)]
        with pytest.raises(psycopg.OperationalError, match=f"too many clients of uid {os.geteuid()} already"):
            await psycopg.AsyncConnection.connect(f"host={place} user=app")
        _, said = await as_stranger(place / ".s.PGSQL.5432")
        assert said[:1] == b"R"
        for connection in held:
            await connection.close()


async def test_a_socket_for_others_needs_to_know_them(folder: Path) -> None:
    upstream = Upstream("db", f"host={folder}", StaticSource(SECRET), ISSUER)
    with pytest.raises(UsageError, match="whose tokens each of them has"):
        async with Proxy([(upstream, [Listen(folder / "shared", shared=True)])]):
            pass
    assert not (folder / "shared").exists()


async def test_a_second_proxy_does_not_take_the_socket_of_the_first(proxy: Proxied, folder: Path) -> None:
    with pytest.raises(UsageError, match="another service listens here"):
        async with proxied(folder, f"host={folder}"):
            pass


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.2"])  # noqa: S104  is what must be refused
async def test_nothing_but_the_loopback_is_listened_on(folder: Path, address: str) -> None:
    upstream = Upstream("db", f"host={folder}", StaticSource(SECRET), ISSUER)
    with socket.socket() as handed:
        handed.bind((address, 0))
        handed.listen()
        with pytest.raises(UsageError, match="loopback only"):
            async with Proxy([(upstream, [Inherited(handed, folder / "pgpass")])]):
                pass


async def test_the_loopback_is_never_without_a_secret(folder: Path) -> None:
    upstream = Upstream("db", f"host={folder}", StaticSource(SECRET), ISSUER)
    with socket.socket() as handed:
        handed.bind(("127.0.0.1", 0))
        handed.listen()
        with pytest.raises(UsageError, match="needs a passfile"):
            async with Proxy([(upstream, [Inherited(handed)])]):
                pass


async def test_the_passfile_is_gone_before_a_successor_can_have_the_port(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, passfile = Upstream("db", f"host={folder}", StaticSource(SECRET), ISSUER), folder / "pgpass"
    there: list[bool] = []
    closing = Listening.close

    def look(listening: Listening) -> None:
        there.append(passfile.exists())
        closing(listening)

    monkeypatch.setattr(Listening, "close", look)
    async with Proxy([(upstream, [ListenTcp(passfile)])]):
        assert passfile.exists()
    assert there == [False]


async def test_a_tcp_client_that_proves_nothing_gets_nowhere(server: FakePostgres, folder: Path) -> None:
    upstream = Upstream("db", f"host={folder}", StaticSource(SECRET), ISSUER)
    async with Proxy([(upstream, [ListenTcp(folder / "pgpass")])], ProxySettings(drain_seconds=0)) as running:
        port = int(running.status().upstreams[0].listening[0].rpartition(":")[2])
        for said in (b"", b"p\0\0\0\x0ctest\0\0\0\0", b"p\0\0\xff\xff", b"Q\0\0\0\x0dSELECT 1\0", b"p\0\0\0\x04"):
            async with await RawClient.to(("127.0.0.1", port)) as client:
                client.send(startup_packet() + said)
                assert (await client.message())[1].startswith(b"\0\0\0\x0aSCRAM-SHA-256\0\0")
                client.writer.write_eof()
                rest = await client.rest()
                assert rest[:1] in (b"", b"E")
    assert server.received == []


# what


@pytest.mark.parametrize("question", [80877103, 80877104])
async def test_encryption_is_declined(proxy: Proxied, question: int) -> None:
    async with await RawClient.to(proxy.socket) as client:
        client.send(struct.pack("!ii", 8, question))
        assert await client.byte() == b"N"
        await client.log_in()


async def test_encryption_is_declined_once(proxy: Proxied) -> None:
    async with await RawClient.to(proxy.socket) as client:
        client.send(struct.pack("!ii", 8, 80877103) * 2)
        assert (await client.rest())[:2] == b"NE"


async def test_direct_tls_is_told_that_there_is_none(proxy: Proxied) -> None:
    async with await RawClient.to(proxy.socket) as client:
        client.send(bytes.fromhex("16030100c8010000c40303") + bytes(190))
        assert (await client.rest()).hex() == "15030100020228"


@pytest.mark.parametrize(
    ("said", "sqlstate"),
    [
        (struct.pack("!i", 10_001), "08P01"),
        (struct.pack("!i", 2**31 - 1), "08P01"),
        (struct.pack("!i", -1), "08P01"),
        (struct.pack("!i", 4), "08P01"),
        (b"GET / HTTP/1.1\r\nHost: db\r\n\r\n", "08P01"),
        (struct.pack("!ii", 9, 2 << 16) + b"\0", "0A000"),
        (struct.pack("!ii", 9, 3 << 16) + b"\0", "28000"),
        (struct.pack("!ii", 12, 3 << 16) + b"user", "08P01"),
    ],
)
async def test_what_is_no_startup_packet(proxy: Proxied, server: FakePostgres, said: bytes, sqlstate: str) -> None:
    async with await RawClient.to(proxy.socket) as client:
        client.send(said)
        ((kind, body),) = await client.until(b"E")
        assert (kind, fields(body)["C"]) == (b"E", sqlstate)
        assert await client.rest() == b""
    assert server.received == []


async def test_a_startup_packet_as_long_as_may_be(proxy: Proxied) -> None:
    async with await RawClient.to(proxy.socket) as client:
        short = len(startup_packet(filler=""))
        await client.log_in(filler="x" * (10_000 - short))
    async with await RawClient.to(proxy.socket) as client:
        client.send(startup_packet(filler="x" * (10_001 - short)))
        assert fields((await client.until(b"E"))[-1][1])["C"] == "08P01"


async def test_a_pinned_role_and_database(server: FakePostgres, folder: Path) -> None:
    async with proxied(folder, f"host={folder} user=app dbname=appdb") as pinned:
        await (await pinned.connect()).close()
        for other in ({"user": "postgres"}, {"dbname": "postgres"}):
            with pytest.raises(psycopg.OperationalError, match=r"this upstream is for the (role|database) 'app"):
                await pinned.connect(**other)
    assert len(server.tokens) == 1


# how many, how slow


async def test_a_slow_startup_packet_is_given_up(server: FakePostgres, folder: Path) -> None:
    settings = ProxySettings(startup_seconds=0.2, drain_seconds=0)
    async with proxied(folder, f"host={folder}", settings=settings) as proxy:
        async with await RawClient.to(proxy.socket) as client:

            async def trickle() -> None:
                for byte in startup_packet(filler="x" * 5_000):
                    client.send(bytes([byte]))
                    await asyncio.sleep(0.01)

            trickling = asyncio.create_task(trickle())
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await client.message()
            trickling.cancel()
        assert (proxy.proxy.status().dropped, proxy.proxy.status().unfinished) == (1, 0)
        await (await proxy.connect()).close()
    assert len(server.tokens) == 1


async def test_10_000_half_open_connections_do_not_keep_anybody_out(server: FakePostgres, folder: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[1], 12_000), limits[1]))
    try:
        async with proxied(folder, f"host={folder}") as proxy:
            working = await proxy.connect()
            flood = await asyncio.create_subprocess_exec(
                sys.executable, "-c", FLOOD, str(proxy.socket), "10000", stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert flood.stdin is not None
            assert flood.stdout is not None
            logins = 0
            done = asyncio.create_task(flood.stdout.readline())
            while not done.done():
                logins += await _in_unless_the_kernels_queue_is_full(proxy)
            assert await done == b"10000\n"
            assert logins
            await asyncio.gather(*(_in_and_out(proxy) for _ in range(50)))
            assert proxy.proxy.status().unfinished <= ProxySettings().most_unfinished
            assert proxy.proxy.status().dropped >= 10_000 - ProxySettings().most_unfinished - 1
            assert working.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            await working.close()
            flood.stdin.close()
            await flood.wait()
        assert len(server.tokens) == logins + 51
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


FLOOD = """
import resource, socket, sys
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
open_ones = []
for number in range(int(sys.argv[2])):
    one = socket.socket(socket.AF_UNIX)
    one.connect(sys.argv[1])
    if number % 2:
        one.send(b"\\0\\0")
    open_ones.append(one)
print(len(open_ones), flush=True)
sys.stdin.read()
"""


async def _in_unless_the_kernels_queue_is_full(proxy: Proxied) -> bool:
    try:
        await (await proxy.connect()).close()
    except psycopg.OperationalError as error:
        if "Resource temporarily unavailable" not in str(error):  # EAGAIN of connect(2): libpq does not wait for room
            raise
        await asyncio.sleep(0)  # the proxy is in this event loop too
        return False
    return True


async def _in_and_out(proxy: Proxied) -> None:
    await (await proxy.connect()).close()


async def test_more_clients_than_may_be(server: FakePostgres, folder: Path) -> None:
    settings = ProxySettings(most_connections=2, drain_seconds=0)
    async with proxied(folder, f"host={folder}", settings=settings) as proxy:
        held = [await proxy.connect() for _ in range(2)]
        with pytest.raises(psycopg.OperationalError, match="too many clients already"):
            await proxy.connect()
        await held[0].close()
        await asyncio.to_thread(
            wait_until, lambda: proxy.proxy.status().upstreams[0].connections == 1, 20, "one to be gone"
        )
        await (await proxy.connect()).close()
        await held[1].close()


async def test_no_more_files_is_not_the_end(server: FakePostgres, folder: Path) -> None:
    place = folder / "alone"
    told = {"conninfo": f"host={folder}", "issuer": ISSUER, "token": SECRET, "folder": str(place)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.proxy_process", stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HERE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(told).encode() + b"\n")
    assert await process.stdout.readline() == b"serving\n"
    few = len(os.listdir(f"/proc/{process.pid}/fd")) + 4  # noqa: PTH208  a count is enough
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (few, few))
    silent = [await RawClient.to(place / ".s.PGSQL.5432") for _ in range(40)]
    ends = asyncio.gather(*(client.rest() for client in silent[:30]))
    assert await ends == [b""] * 30  # each had to make room for the next
    for client in silent:
        client.writer.transport.abort()
    await (await psycopg.AsyncConnection.connect(f"host={place} user=app dbname=appdb")).close()
    process.stdin.close()
    assert await process.wait() == 0
    assert server.tokens == [SECRET]


async def test_a_cancel_key_dies_with_its_client(proxy: Proxied, server: FakePostgres) -> None:
    async def cancel(pid: int, key: bytes) -> bytes:
        """Ask for it; what the server hears of that."""
        before = len(server.received)
        async with await RawClient.to(proxy.socket) as asking:
            asking.send(struct.pack("!iii", 12 + len(key), 80877102, pid) + key)
            assert await asking.rest() == b""
        return b"".join(server.received[before:])

    async with await RawClient.to(proxy.socket) as client:
        pid, key = await client.log_in()
        assert await cancel(pid, key) == struct.pack("!iiii", 16, 80877102, 1, 1)  # the server's own
    await asyncio.to_thread(wait_until, lambda: not proxy.proxy.status().upstreams[0].connections, 20, "it to be gone")
    assert await cancel(pid, key) == b""
