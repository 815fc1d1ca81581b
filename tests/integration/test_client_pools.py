"""Pools across the end of their tokens: real PostgreSQL, module and service; the issuer's tokens live for seconds."""

import asyncio
import threading
import time
from typing import Any

import psycopg
import psycopg_pool
import pytest
from psycopg.rows import dict_row

from pgbearer.client import AccessToken, SessionEndedError
from pgbearer.client.connection.connect import AsyncConnection, Connection
from pgbearer.client.pool import AsyncConnectionPool, ConnectionPool
from tests.integration.fix_chain import Chain
from tests.integration.fix_short_tokens import (
    ALICE,
    LIFE,
    PATIENCE,
    WHO,
    FreshTokens,
    at,
    await_end_of,
    await_word,
    backends,
)

# one connection


def test_a_connection_knows_its_token_and_that_the_server_ended_it(
    short_chain: Chain, short_tokens: FreshTokens
) -> None:
    with Connection.connect(at(short_chain), source=short_tokens) as connection:
        held = AccessToken(short_tokens.given[-1])
        connection.check_session()
        assert connection.token_ref == held.ref
        assert connection.token_expires_at is not None
        assert 0 < connection.token_expires_at - time.time() <= LIFE
        assert connection.fresh_until is not None
        assert connection.fresh_until <= time.monotonic() + LIFE
        connection.fresh_until = None  # as if the token had not said
        await_word(connection)
        with pytest.raises(SessionEndedError, match="the server has ended the session"):
            connection.check_session()
        assert connection.closed


async def test_a_connection_of_asyncio_knows_too(short_chain: Chain, short_tokens: FreshTokens) -> None:
    async with await AsyncConnection.connect(at(short_chain), source=short_tokens) as connection:
        await connection.check_session()
        await_word(connection)
        with pytest.raises(SessionEndedError):
            await connection.check_session()


def test_what_a_living_server_says_meanwhile_ends_nothing(short_chain: Chain) -> None:
    """Notifications make the socket readable; they are not lost by the look at it."""
    with Connection.connect(
        at(short_chain), source=FreshTokens(short_chain.issuer, 300), autocommit=True
    ) as connection:
        connection.execute("LISTEN news")
        short_chain.server.sql("NOTIFY news, 'one'", "appdb")
        await_word(connection)  # it has said something
        connection.check_session()
        connection.check_session()
        assert [heard.payload for heard in connection.notifies(timeout=PATIENCE, stop_after=1)] == ["one"]


def test_a_closed_connection_is_over(short_chain: Chain, short_tokens: FreshTokens) -> None:
    connection = Connection.connect(at(short_chain), source=short_tokens)
    connection.close()
    with pytest.raises(SessionEndedError):
        connection.check_session()


# pools


def test_all_that_wait_are_replaced_at_once_when_their_sessions_have_ended(
    short_chain: Chain, short_tokens: FreshTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four are over: psycopg alone would find one after the other, and pause for a second, two, four."""
    pauses: list[float] = []
    monkeypatch.setattr("psycopg_pool.pool.sleep", pauses.append)
    with ConnectionPool(at(short_chain), source=short_tokens, min_size=4, max_size=4) as pool:
        pool.wait(PATIENCE)
        before = backends(short_chain)
        assert len(before) == 4
        await_end_of(short_chain, before)
        with pool.connection() as connection:
            assert connection.execute(WHO).fetchone() == ALICE
            assert connection.info.backend_pid not in before
    assert not any(pauses)
    assert len(set(short_tokens.given)) == len(short_tokens.given) >= 5


def test_a_connection_is_replaced_before_its_session_ends(short_chain: Chain, short_tokens: FreshTokens) -> None:
    with ConnectionPool(at(short_chain), source=short_tokens, min_size=1, max_size=1) as pool:
        with pool.connection() as connection:
            first, connection.fresh_until = connection.info.backend_pid, time.monotonic()
        assert first in backends(short_chain)  # the server would let it live
        with pool.connection() as connection:
            assert connection.execute(WHO).fetchone() == ALICE
            assert connection.info.backend_pid != first


def test_a_session_that_ends_at_work_is_the_programs_and_the_pool_goes_on(
    short_chain: Chain, short_tokens: FreshTokens
) -> None:
    with ConnectionPool(at(short_chain), source=short_tokens, min_size=1, max_size=1) as pool:
        with pytest.raises(psycopg.errors.AdminShutdown), pool.connection() as connection:
            connection.execute("SELECT pg_sleep(60)")
        with pool.connection() as connection:
            assert connection.execute(WHO).fetchone() == ALICE


def test_threads_that_find_all_over_share_one_renewal(short_chain: Chain, short_tokens: FreshTokens) -> None:
    with ConnectionPool(at(short_chain), source=short_tokens, min_size=4, max_size=4) as pool:
        pool.wait(PATIENCE)
        await_end_of(short_chain, backends(short_chain))
        seen: list[object] = []
        together = threading.Barrier(8)

        def work() -> None:
            together.wait(PATIENCE)
            with pool.connection() as connection:
                seen.append(connection.execute(WHO).fetchone())

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert seen == [ALICE] * 8
        assert len(backends(short_chain)) <= 4


async def test_a_pool_of_asyncio(short_chain: Chain, short_tokens: FreshTokens) -> None:
    async with AsyncConnectionPool(at(short_chain), source=short_tokens, min_size=3, max_size=3, open=False) as pool:
        await pool.wait(PATIENCE)
        before = backends(short_chain)
        await asyncio.to_thread(await_end_of, short_chain, before)

        async def work() -> object:
            async with pool.connection() as connection:
                assert connection.info.backend_pid not in before
                return await (await connection.execute(WHO)).fetchone()

        assert await asyncio.gather(*(work() for _ in range(6))) == [ALICE] * 6


def test_a_pool_of_another_make_takes_our_connections(short_chain: Chain, short_tokens: FreshTokens) -> None:
    """Our class and our check are all that a pool needs that knows nothing of tokens."""
    pool = psycopg_pool.ConnectionPool(
        at(short_chain),
        connection_class=Connection,
        kwargs={"source": short_tokens},
        check=Connection.check_session,
        min_size=1,
        open=False,
    )
    with pool:
        with pool.connection() as connection:
            first = connection.info.backend_pid
        await_end_of(short_chain, {first})
        with pool.connection() as connection:
            assert connection.info.backend_pid != first


def test_what_is_given_to_the_pool_reaches_its_connections(short_chain: Chain, short_tokens: FreshTokens) -> None:
    refused: list[int] = []

    def check(connection: Connection[Any]) -> None:
        if not refused:
            refused.append(connection.info.backend_pid)
            raise psycopg.OperationalError("not this one")

    with (
        ConnectionPool(
            at(short_chain),
            source=short_tokens,
            row_factory=dict_row,
            kwargs={"autocommit": True},
            check=check,
            min_size=1,
        ) as pool,
        pool.connection() as connection,
    ):
        assert connection.autocommit
        assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}
        assert refused


def test_a_refusal_is_told_and_logged_without_a_token(
    short_chain: Chain, short_tokens: FreshTokens, caplog: pytest.LogCaptureFixture
) -> None:
    where = at(short_chain).replace("app_readonly", "app_readwrite")
    with ConnectionPool(where, source=short_tokens, min_size=1, max_size=1, reconnect_timeout=1) as pool:
        with pytest.raises(psycopg_pool.PoolTimeout, match="you asked for app_readwrite") as caught:
            pool.getconn(timeout=5)
        said = [caplog.text, repr(pool), repr(vars(pool)), str(pool.get_stats()), str(caught.value)]
    assert f"pgbearer explain --token-ref {AccessToken(short_tokens.given[0]).ref}" in caplog.text
    assert not any(part in "".join(said) for token in short_tokens.given for part in token.split("."))


async def test_a_refusal_is_told_in_asyncio_and_forgotten_when_one_came_in(
    short_chain: Chain, short_tokens: FreshTokens
) -> None:
    where = at(short_chain).replace("app_readonly", "app_readwrite")
    async with AsyncConnectionPool(
        where, source=short_tokens, min_size=1, max_size=1, reconnect_timeout=1, open=False
    ) as pool:
        with pytest.raises(psycopg_pool.PoolTimeout, match="you asked for app_readwrite"):
            await pool.getconn(timeout=5)
        pool.conninfo = at(short_chain)
        async with pool.connection(timeout=PATIENCE):
            with pytest.raises(psycopg_pool.PoolTimeout, match=r"^couldn't get a connection after 0\.10 sec$"):
                await pool.getconn(timeout=0.1)
