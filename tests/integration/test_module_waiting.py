"""A backend that waits for a hung service ends at once when it is told to, and never keeps break-glass out."""

import asyncio
import contextlib
import re
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.integration.fix_postgres import TOKEN, BearerServer, MakeServer
from tests.lying_service import LyingService
from tests.parts.processes import wait_until
from tests.raw_login import RawLogin

PATIENCE = 20
"""Seconds; far less than the 60 for which the module itself would wait."""

Hung = tuple[BearerServer, LyingService]


@pytest.fixture
def hung(postgres_server: MakeServer) -> Iterator[Hung]:
    """A server whose service hangs, and which would wait a minute for it."""
    server = postgres_server({"pgbearer.timeout": "60s", "authentication_timeout": "90s", "max_connections": "60"})
    server.sql("CREATE ROLE app LOGIN")
    service = LyingService(server.socket)
    service.start()
    service.hang()
    yield server, service
    service.stop()


@contextlib.contextmanager
def waiting_login(server: BearerServer, service: LyingService) -> Iterator[Future[psycopg.Connection[Any]]]:
    """A login that is waiting for the service inside the block."""
    with ThreadPoolExecutor(1) as pool:
        login = pool.submit(server.login)
        service.wait_for_requests(1)
        yield login


def test_terminated(hung: Hung) -> None:
    server, service = hung
    with waiting_login(server, service) as login:
        assert server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgbearerService'")
        with pytest.raises(psycopg.OperationalError):
            login.result(PATIENCE)


def test_holds_back_no_vacuum(hung: Hung) -> None:
    """Dead rows can be removed while a service hangs: nothing is read while waiting, so no snapshot is kept."""
    server, service = hung
    with waiting_login(server, service) as login:
        waiting = "FROM pg_stat_activity WHERE wait_event = 'PgbearerService'"
        assert server.sql(f"SELECT count(*), count(backend_xmin) {waiting}") == "1|0"
        server.shut_down()
        with pytest.raises(psycopg.OperationalError):
            login.result(PATIENCE)


def test_shut_down_fast(hung: Hung) -> None:
    server, service = hung
    with waiting_login(server, service) as login:
        server.shut_down()
        with pytest.raises(psycopg.OperationalError):
            login.result(PATIENCE)
    assert "database system is shut down" in server.log


def test_postmaster_killed(hung: Hung) -> None:
    server, service = hung
    with waiting_login(server, service) as login:
        server.shut_down(signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            login.result(PATIENCE)


async def test_client_gone(hung: Hung) -> None:
    server, service = hung
    login = await RawLogin.begin(server.folder, TOKEN)
    await asyncio.to_thread(service.wait_for_requests, 1)
    login.hang_up()
    await asyncio.to_thread(wait_until, lambda: "refused: client_gone" in server.log, PATIENCE, "the backend to notice")
    await asyncio.to_thread(
        wait_until,
        lambda: server.sql("SELECT count(*) FROM pg_stat_activity WHERE state = 'starting'") == "0",
        PATIENCE,
        "the backend to end",
    )


async def test_client_gone_while_nobody_listens(hung: Hung) -> None:
    server, service = hung
    service.stop()
    server.sql("ALTER SYSTEM SET pgbearer.connect_timeout = '60s'")
    server.reload()
    login = await RawLogin.begin(server.folder, TOKEN)
    login.hang_up()
    await asyncio.to_thread(wait_until, lambda: "refused: client_gone" in server.log, PATIENCE, "the backend to notice")


def test_authentication_timeout_is_kept(hung: Hung) -> None:
    server, _ = hung
    server.sql("ALTER SYSTEM SET authentication_timeout = '2s'")
    server.reload()
    assert server.refusal().startswith("service_timeout")
    assert "canceling authentication due to timeout" not in server.log


def test_no_time_to_ask(hung: Hung) -> None:
    server, service = hung
    server.sql("ALTER SYSTEM SET authentication_timeout = '1s'")
    server.reload()
    assert server.refusal() == ("service_timeout token_ref 27d2239a8423. Too little of authentication_timeout is left.")
    assert service.requests == []


def test_service_cut_off_then_back(hung: Hung) -> None:
    server, service = hung
    with waiting_login(server, service) as login:
        service.stop()
        with pytest.raises(psycopg.OperationalError, match="OAuth bearer authentication failed"):
            login.result(PATIENCE)
    assert "refused: service_cut" in server.log
    service.start()
    service.allow()
    server.login().close()


def test_timeout_is_the_modules_own(hung: Hung) -> None:
    server, _ = hung
    server.sql("ALTER SYSTEM SET pgbearer.timeout = '200ms'")
    server.reload()
    refusal = server.refusal()
    assert refusal.startswith("service_timeout")
    assert f"Endpoint unix:{server.socket} did not answer in time." in refusal


def test_trickle_does_not_reset_the_time(hung: Hung) -> None:
    server, service = hung
    server.sql("ALTER SYSTEM SET pgbearer.timeout = '300ms'")
    server.reload()
    service.trickle(1, every=0.05)
    assert server.refusal().startswith("service_timeout")


@pytest.mark.story("service-down", "break-glass", on="socket")
async def test_flood_leaves_break_glass_in(hung: Hung) -> None:
    """200 logins a second, each of which would wait a minute, on 60 connections."""
    server, service = hung

    async def login() -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # there may be no connection for it at all
            one = await RawLogin.begin(server.folder, TOKEN)
            try:
                await one.let_in()
            finally:
                one.hang_up()

    async def flood(seconds: int) -> list[asyncio.Task[None]]:
        begun = []
        for _ in range(200 * seconds):
            begun.append(asyncio.create_task(login()))
            await asyncio.sleep(1 / 200)  # the rate, not a wait for anything
        return begun

    flooding = asyncio.create_task(flood(3))
    await asyncio.to_thread(service.wait_for_requests, 20)
    let_in = 0
    while not flooding.done():
        assert await asyncio.to_thread(server.sql, "SELECT 'in'") == "in"
        let_in += 1
    assert let_in > 0
    assert "refused: connections_short" in server.log
    assert len(re.findall("refused: ", server.log)) > 300

    service.stop()  # those that wait are refused now
    await asyncio.gather(*await flooding)
    service.start()
    service.allow()
    (await asyncio.to_thread(server.login)).close()
