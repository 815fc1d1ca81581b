"""Real clients through the proxy to a real PostgreSQL over TLS: all of the protocol passes, each to its own."""

import asyncio
import contextlib
import hashlib
import os
import socket
import struct
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors

from pgbearer.client import AccessToken
from pgbearer.client.proxy import Inherited, Listen, ListenTcp, Proxy, ProxySettings, Upstream
from pgbearer.client.sources import StaticSource
from tests.integration.fix_proxy import TlsServer
from tests.parts.postgres import Server
from tests.parts.processes import wait_until
from tests.proxied import ISSUER, SECRET, Proxied, proxied
from tests.raw_client import RawClient, fields, startup_packet

ME = f"oauth:holder-of-{AccessToken(SECRET).ref}"


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")  # short: a socket's path has at most 107 bytes


@pytest.fixture
async def proxy(tls_postgres_server: TlsServer, folder: Path) -> AsyncIterator[Proxied]:
    async with proxied(folder, tls_postgres_server.conninfo) as running:
        yield running
    assert SECRET not in tls_postgres_server.server.log


async def seen(server: TlsServer, count: int, where: str = "true") -> None:
    """Wait until so many sessions of ours are in that state."""
    await asyncio.to_thread(wait_until, lambda: server.sessions(where) == count, 30, f"{count} sessions {where}")


async def psql(server: Server, *words: str, env: dict[str, str]) -> tuple[int, str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    program = await asyncio.create_subprocess_exec(
        server.installation.bin / "psql",
        "-XAtq",
        *words,
        env=clean | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await program.communicate()
    return program.returncode or 0, out.decode().strip(), err.decode()


# what passes


async def test_psql_without_oauth(tls_postgres_server: TlsServer, proxy: Proxied) -> None:
    env = {"PGHOST": str(proxy.folder), "PGUSER": "app", "PGDATABASE": "appdb"}
    asked = ("-c", "SELECT system_user, current_user", "-c", r"\conninfo", "-c", r"\c postgres app", "-c", "SELECT 1")
    code, out, err = await psql(tls_postgres_server.server, *asked, env=env)
    assert (code, err) == (0, "")
    assert out.startswith(f"{ME}|app\n")
    assert out.endswith("\n1")


async def test_an_exit_code_is_psqls(tls_postgres_server: TlsServer, proxy: Proxied) -> None:
    env = {"PGHOST": str(proxy.folder), "PGUSER": "app", "PGDATABASE": "appdb"}
    code, _, err = await psql(tls_postgres_server.server, "-v", "ON_ERROR_STOP=1", "-f", "/dev/stdin", env=env)
    assert (code, err) == (0, "")
    code, _, err = await psql(tls_postgres_server.server, "-c", "SELECT 1/0", env=env)
    assert (code, err.strip()) == (1, "ERROR:  division by zero")


async def test_a_copy_both_ways_is_what_it_was(proxy: Proxied) -> None:
    rows = b"".join(b"%d\t%s\n" % (number, b"x" * (number % 300)) for number in range(40_000))
    async with await proxy.connect() as connection:
        await connection.execute("CREATE TEMP TABLE copied (number int PRIMARY KEY, text text)")
        async with connection.cursor().copy("COPY copied FROM STDIN") as into:
            await into.write(rows)
        out = hashlib.sha256()
        async with connection.cursor().copy("COPY (TABLE copied ORDER BY number) TO STDOUT") as from_there:
            async for part in from_there:
                out.update(part)
    assert out.digest() == hashlib.sha256(rows).digest()


@pytest.mark.parametrize("version", ["3.0", "3.2", "latest"])
async def test_a_query_is_cancelled(tls_postgres_server: TlsServer, proxy: Proxied, version: str) -> None:
    async with await proxy.connect(max_protocol_version=version) as connection:
        assert connection.info.backend_pid not in _pids(tls_postgres_server)
        running = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
        await seen(tls_postgres_server, 1, "query = 'SELECT pg_sleep(60)' AND state = 'active'")
        await connection.cancel_safe()
        with pytest.raises(errors.QueryCanceled):
            await running
        assert await (await connection.execute("SELECT 1")).fetchone() == (1,)


async def test_another_clients_key_cancels_nothing(tls_postgres_server: TlsServer, proxy: Proxied) -> None:
    async with await RawClient.to(proxy.socket) as victim, await RawClient.to(proxy.socket) as other:
        pid, key = await victim.log_in()
        other_pid, other_key = await other.log_in()
        victim.query("SELECT pg_sleep(60)")
        await seen(tls_postgres_server, 1, "query = 'SELECT pg_sleep(60)' AND state = 'active'")
        for asked, by in ((pid, other_key), (other_pid, key), (pid, bytes(4)), (_pids(tls_postgres_server)[0], key)):
            async with await RawClient.to(proxy.socket) as attempt:
                attempt.send(struct.pack("!iii", 12 + len(by), 80877102, asked) + by)
                assert await attempt.rest() == b""
        assert tls_postgres_server.sessions("query = 'SELECT pg_sleep(60)' AND state = 'active'") == 1
        async with await RawClient.to(proxy.socket) as attempt:
            attempt.send(struct.pack("!iii", 12 + len(key), 80877102, pid) + key)
            assert await attempt.rest() == b""
        kind, body = (await victim.until(b"E"))[-1]
        assert (kind, fields(body)["C"]) == (b"E", "57014")


def _pids(server: TlsServer) -> list[int]:
    listed = server.server.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'app'")
    return [int(pid) for pid in listed.split()]


@pytest.mark.parametrize(
    ("version", "options", "offered", "key_bytes"),
    [(3 << 16, {}, None, 4), (3 << 16 | 2, {}, None, 32), (3 << 16 | 9999, {"_pq_.unheard_of": "1"}, 2, 32)],
)
async def test_versions_are_negotiated_as_the_server_answers(
    proxy: Proxied, version: int, options: dict[str, str], offered: int | None, key_bytes: int
) -> None:
    async with await RawClient.to(proxy.socket) as client:
        client.send(startup_packet(version, **options))
        came = await client.until(b"Z")
        kinds = [kind for kind, _ in came]
        assert (kinds[0] == b"v") == (offered is not None)
        if offered is not None:
            assert struct.unpack_from("!i", came[0][1])[0] & 0xFFFF == offered
            assert came[0][1].endswith(b"_pq_.unheard_of\0")
        assert len(next(body for kind, body in came if kind == b"K")) == 4 + key_bytes


@pytest.mark.parametrize(("kind", "database"), [("database", "appdb"), ("true", "appdb")])
async def test_replication_connections(
    tls_postgres_server: TlsServer, proxy: Proxied, kind: str, database: str
) -> None:
    async with await RawClient.to(proxy.socket) as client:
        await client.log_in(replication=kind, database=database)
        client.query("IDENTIFY_SYSTEM")
        came = await client.until(b"Z")
        assert [name for name, _ in came] == [b"T", b"D", b"C", b"Z"]


async def test_a_pinned_database_is_not_left_by_a_base_backup(tls_postgres_server: TlsServer, folder: Path) -> None:
    pinned = f"{tls_postgres_server.conninfo} dbname=appdb"
    for conninfo, taken in ((pinned, False), (f"{pinned} replication=database", True)):
        async with proxied(folder, conninfo) as proxy, await RawClient.to(proxy.socket) as client:
            client.send(startup_packet(replication="database"))
            if not taken:
                assert "can read all of them" in fields((await client.until(b"Z"))[-1][1])["M"]
                continue
            assert (await client.until(b"Z"))[-1][0] == b"Z"
            client.query("BASE_BACKUP (CHECKPOINT 'fast')")  # what the pin would be left by: the server does not mind
            assert b"global/pg_control" in b"".join(body for _, body in await client.until(b"Z"))


async def test_the_last_answer_reaches_a_client_that_has_said_all_it_will(proxy: Proxied) -> None:
    async with await RawClient.to(proxy.socket) as client:
        await client.log_in()
        client.query("SELECT 42, pg_sleep(0.05)")
        client.writer.write_eof()
        assert b"42" in await client.rest()


async def test_500_connects_at_once(tls_postgres_server: TlsServer, proxy: Proxied) -> None:
    async def one() -> bool:
        async with await proxy.connect() as connection:
            return await (await connection.execute("SELECT system_user")).fetchone() == (ME,)

    assert all(await asyncio.gather(*(one() for _ in range(500))))
    await seen(tls_postgres_server, 0)
    status = proxy.proxy.status().upstreams[0]
    assert (status.logins, status.connections, status.connecting, status.refused) == (500, 0, 0, 0)


# over TCP


async def test_tcp_needs_the_secret_of_this_run(tls_postgres_server: TlsServer, folder: Path) -> None:
    upstream = Upstream("db", f"{tls_postgres_server.conninfo} user=app dbname=appdb", StaticSource(SECRET), ISSUER)
    passfile = folder / "pgpass"
    async with Proxy([(upstream, [ListenTcp(passfile)])], ProxySettings(drain_seconds=0)) as proxy:
        address, _, port = proxy.status().upstreams[0].listening[0].rpartition(":")
        where: dict[str, Any] = {"host": address, "port": port, "user": "app", "dbname": "appdb", "sslmode": "prefer"}
        assert passfile.stat().st_mode & 0o777 == 0o600
        line = passfile.read_text()
        assert line.startswith(f"127.0.0.1:{port}:appdb:app:")
        async with await psycopg.AsyncConnection.connect(**where, passfile=str(passfile)) as connection:
            assert await (await connection.execute("SELECT system_user")).fetchone() == (ME,)
        asked = len(tls_postgres_server.service.requests)
        for wrong in ("", "wrong", line.rpartition(":")[2].strip()[:-1]):
            with pytest.raises(psycopg.OperationalError, match="password"):
                await psycopg.AsyncConnection.connect(**where, password=wrong, passfile="/dev/null/none")
        assert len(tls_postgres_server.service.requests) == asked
        code, out, _ = await psql(
            tls_postgres_server.server,
            "-c",
            "SELECT system_user",
            env={
                "PGHOST": address,
                "PGPORT": port,
                "PGUSER": "app",
                "PGDATABASE": "appdb",
                "PGPASSFILE": str(passfile),
            },
        )
        assert (code, out) == (0, ME)
        assert line.rpartition(":")[2].strip() not in repr(proxy.status())
    assert not passfile.exists()


async def test_a_socket_that_was_handed_over(tls_postgres_server: TlsServer, folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as handed:
        handed.bind(str(folder / ".s.PGSQL.6543"))
        handed.listen(8)
        upstream = Upstream("db", tls_postgres_server.conninfo, StaticSource(SECRET), ISSUER)
        async with Proxy([(upstream, [Inherited(handed)])], ProxySettings(drain_seconds=0)) as proxy:
            assert proxy.status().upstreams[0].listening == (f"{folder}:6543",)
            where: dict[str, Any] = {"host": str(folder), "port": 6543, "user": "app", "dbname": "appdb"}
            async with await psycopg.AsyncConnection.connect(**where) as connection:
                assert await (await connection.execute("SELECT system_user")).fetchone() == (ME,)
    assert (folder / ".s.PGSQL.6543").exists()  # whoever made it takes it away


# ends


async def test_the_server_restarts_under_the_proxy(tls_postgres_server: TlsServer, proxy: Proxied) -> None:
    connection = await proxy.connect()
    tls_postgres_server.server.shut_down()
    with pytest.raises(errors.AdminShutdown):
        await connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="pgbearer: cannot connect: Connection refused"):
        await proxy.connect()
    tls_postgres_server.server.start()
    async with await proxy.connect() as again:
        assert await (await again.execute("SELECT system_user")).fetchone() == (ME,)


async def test_the_servers_last_word_is_passed(tls_postgres_server: TlsServer, proxy: Proxied) -> None:
    async with await RawClient.to(proxy.socket) as client:
        await client.log_in()
        tls_postgres_server.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
        assert fields((await client.until(b"E"))[-1][1])["C"] == "57P01"
        assert await client.rest() == b""


async def test_a_client_that_is_gone_leaves_nothing_at_the_server(
    tls_postgres_server: TlsServer, proxy: Proxied
) -> None:
    async with await RawClient.to(proxy.socket) as client:
        await client.log_in()
        await seen(tls_postgres_server, 1)
    await seen(tls_postgres_server, 0)
    assert proxy.proxy.status().upstreams[0].connections == 0


async def test_a_refusal_by_the_server_after_the_login(tls_postgres_server: TlsServer, proxy: Proxied) -> None:
    with pytest.raises(psycopg.OperationalError, match='FATAL:  database "nowhere" does not exist'):
        await proxy.connect(dbname="nowhere")
    async with await RawClient.to(proxy.socket) as client:
        client.send(startup_packet(database="nowhere"))
        assert fields((await client.until(b"E"))[-1][1])["C"] == "3D000"


async def test_a_refused_token(tls_postgres_server: TlsServer, proxy: Proxied) -> None:
    tls_postgres_server.service.deny("role_not_allowed")
    try:
        with pytest.raises(psycopg.OperationalError, match="OAuth bearer authentication failed") as caught:
            await proxy.connect()
    finally:
        tls_postgres_server.let_everybody_in()
    assert f"pgbearer explain --token-ref {AccessToken(SECRET).ref}" in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_draining_lets_clients_finish_and_ends_those_that_do_not(
    tls_postgres_server: TlsServer, folder: Path
) -> None:
    async with proxied(folder, tls_postgres_server.conninfo) as proxy:
        finishing, idle, busy = [await proxy.connect() for _ in range(3)]
        sleeping = asyncio.create_task(busy.execute("SELECT pg_sleep(60)"))
        await seen(tls_postgres_server, 1, "query = 'SELECT pg_sleep(60)' AND state = 'active'")
        draining = asyncio.create_task(proxy.proxy.drain(1.0))
        await asyncio.to_thread(wait_until, lambda: not proxy.socket.exists(), 10, "no new clients")
        with pytest.raises(psycopg.OperationalError):
            await proxy.connect()
        assert await (await finishing.execute("SELECT 1")).fetchone() == (1,)
        await finishing.close()
        await draining
        with pytest.raises(errors.AdminShutdown):
            await idle.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            await sleeping
        assert proxy.proxy.status().upstreams[0].connections == 0
    await seen(tls_postgres_server, 0)


@pytest.mark.parametrize(
    ("settings", "sqlstate"),
    [
        (ProxySettings(idle_seconds=0.2, drain_seconds=0), "57P05"),
        (ProxySettings(lifetime_seconds=0.2, drain_seconds=0), "57P01"),
    ],
)
async def test_a_connection_ends_with_its_time(
    tls_postgres_server: TlsServer, folder: Path, settings: ProxySettings, sqlstate: str
) -> None:
    async with (
        proxied(folder, tls_postgres_server.conninfo, settings=settings) as proxy,
        await RawClient.to(proxy.socket) as client,
    ):
        await client.log_in()
        assert fields((await client.until(b"E"))[-1][1])["C"] == sqlstate
        assert await client.rest() == b""
    await seen(tls_postgres_server, 0)


@pytest.mark.parametrize(
    "settings", [ProxySettings(idle_seconds=0.2, drain_seconds=0), ProxySettings(lifetime_seconds=0.2, drain_seconds=0)]
)
async def test_a_query_is_let_finish_however_long_it_takes(
    tls_postgres_server: TlsServer, folder: Path, settings: ProxySettings
) -> None:
    async with (
        proxied(folder, tls_postgres_server.conninfo, settings=settings) as proxy,
        await RawClient.to(proxy.socket) as client,
    ):
        await client.log_in()
        client.query("SELECT pg_sleep(3)")  # several rounds of who is looked for
        assert [kind for kind, _ in await client.until(b"Z")] == [b"T", b"D", b"C", b"Z"]
        assert [kind for kind, _ in await client.until(b"E")] == [b"E"]


@pytest.mark.parametrize(
    "settings", [ProxySettings(idle_seconds=0.2, drain_seconds=0), ProxySettings(lifetime_seconds=0.2, drain_seconds=0)]
)
async def test_queries_that_were_sent_at_once_are_all_let_finish(
    tls_postgres_server: TlsServer, folder: Path, settings: ProxySettings
) -> None:
    """The answer to the first is the last thing that passes for long, and looks as if the server had no more to do."""
    server = tls_postgres_server.server
    async with (
        proxied(folder, tls_postgres_server.conninfo, settings=settings) as proxy,
        await RawClient.to(proxy.socket) as client,
        await psycopg.AsyncConnection.connect(
            host=str(server.folder), port=server.port, user="postgres", dbname="appdb", autocommit=True
        ) as holder,
    ):
        await holder.execute("SELECT pg_advisory_lock(7)")
        await client.log_in()
        client.query("SELECT 1")
        client.query("SELECT pg_advisory_lock(7)")
        await seen(tls_postgres_server, 1, "wait_event = 'advisory'")
        assert [kind for kind, _ in await client.until(b"Z")] == [b"T", b"D", b"C", b"Z"]
        async with await RawClient.to(proxy.socket) as other:  # once it has been ended, the first was looked at too
            await other.log_in()
            await other.until(b"E")
        await holder.execute("SELECT pg_advisory_unlock(7)")
        assert [kind for kind, _ in await client.until(b"Z")] == [b"T", b"D", b"C", b"Z"]
        assert [kind for kind, _ in await client.until(b"E")] == [b"E"]


async def test_who_has_just_asked_is_not_idle_by_any_clock(tls_postgres_server: TlsServer, proxy: Proxied) -> None:
    async with await RawClient.to(proxy.socket) as client:
        await client.log_in()
        (session,) = proxy.proxy._guests.there
        assert session.is_idle
        client.query("SELECT pg_sleep(60)")
        await seen(tls_postgres_server, 1, "query = 'SELECT pg_sleep(60)' AND state = 'active'")
        session.local.last_byte = session.upstream.last_byte  # type: ignore[attr-defined]  # within one of its ticks
        assert not session.is_idle


async def test_a_client_that_reads_nothing_costs_bounded_memory(tls_postgres_server: TlsServer, folder: Path) -> None:
    settings = ProxySettings(buffer_bytes=64 * 1024, drain_seconds=0)
    async with (
        proxied(folder, tls_postgres_server.conninfo, settings=settings) as proxy,
        await RawClient.to(proxy.socket) as client,
    ):
        await client.log_in()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)")
        await seen(tls_postgres_server, 1, "wait_event = 'ClientWrite'")  # the server is held back
        (session,) = proxy.proxy._guests.there
        kept = session.local.transport.get_write_buffer_size()  # type: ignore[attr-defined]
        assert 0 < kept <= settings.buffer_bytes + 256 * 1024
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert [kind for kind, _ in await client.until(b"Z")].count(b"D") == 100_000


async def test_other_upstreams_are_apart(tls_postgres_server: TlsServer, folder: Path) -> None:
    one = Upstream("one", f"{tls_postgres_server.conninfo} user=app", StaticSource("token-one"), ISSUER)
    two = Upstream("two", f"{tls_postgres_server.conninfo} user=app", StaticSource("token-two"), ISSUER)
    places = [(one, [Listen(folder / "one")]), (two, [Listen(folder / "two")])]
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(Proxy(places, ProxySettings(drain_seconds=0)))
        for name, token in (("one", "token-one"), ("two", "token-two")):
            where = f"host={folder / name} user=app dbname=appdb"
            connection = await stack.enter_async_context(await psycopg.AsyncConnection.connect(where))
            expected = f"oauth:holder-of-{AccessToken(token).ref}"
            assert await (await connection.execute("SELECT system_user")).fetchone() == (expected,)
