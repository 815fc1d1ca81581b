"""SQLAlchemy's own pool with our connections, across the end of their tokens; the issuer's tokens live for seconds."""

import asyncio

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import QueuePool

import pgbearer
from pgbearer.client import TokenRefusedError
from tests.integration.fix_chain import Chain
from tests.integration.fix_short_tokens import ALICE, WHO, FreshTokens, at, await_end_of, backends

QUERY = text(WHO)


def test_a_queue_pool_goes_on_with_fresh_tokens(short_chain: Chain, short_tokens: FreshTokens) -> None:
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: pgbearer.connect(at(short_chain), source=short_tokens),
        pool_pre_ping=True,
        pool_size=3,
    )
    assert isinstance(engine.pool, QueuePool)
    with engine.connect() as one, engine.connect() as two, engine.connect() as three:
        for connection in (one, two, three):
            assert tuple(connection.execute(QUERY).one()) == ALICE
    before = backends(short_chain)
    assert len(before) == 3
    await_end_of(short_chain, before)
    with engine.connect() as one, engine.connect() as two:
        for connection in (one, two):
            assert tuple(connection.execute(QUERY).one()) == ALICE
    assert not before & backends(short_chain)
    assert len(set(short_tokens.given)) == 5
    engine.dispose()


def test_a_session_that_ends_at_work_spoils_no_later_one(short_chain: Chain, short_tokens: FreshTokens) -> None:
    """Without a ping: SQLAlchemy itself knows a connection that the server has ended, when work fails on it."""
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: pgbearer.connect(at(short_chain), source=short_tokens)
    )
    with engine.connect() as connection, pytest.raises(OperationalError) as caught:
        connection.execute(text("SELECT pg_sleep(60)"))
    assert isinstance(caught.value.orig, psycopg.errors.AdminShutdown)
    assert caught.value.connection_invalidated
    with engine.connect() as connection:
        assert tuple(connection.execute(QUERY).one()) == ALICE
    engine.dispose()


async def test_an_engine_of_asyncio(short_chain: Chain, short_tokens: FreshTokens) -> None:
    engine = create_async_engine(
        "postgresql+psycopg://",
        async_creator=lambda: pgbearer.connect_async(at(short_chain), source=short_tokens),
        pool_pre_ping=True,
    )
    async with engine.connect() as connection:
        assert tuple((await connection.execute(QUERY)).one()) == ALICE
    before = backends(short_chain)
    await asyncio.to_thread(await_end_of, short_chain, before)
    async with engine.connect() as connection:
        assert tuple((await connection.execute(QUERY)).one()) == ALICE
    await engine.dispose()


def test_a_refusal_is_ours_under_sqlalchemys(short_chain: Chain, short_tokens: FreshTokens) -> None:
    where = at(short_chain).replace("app_readonly", "app_readwrite")
    engine = create_engine("postgresql+psycopg://", creator=lambda: pgbearer.connect(where, source=short_tokens))
    with pytest.raises(OperationalError) as caught, engine.connect():
        pass
    assert isinstance(caught.value.orig, TokenRefusedError)
    assert "pgbearer explain --token-ref" in str(caught.value)
    assert not any(part in str(caught.value) for part in short_tokens.given[0].split("."))
    engine.dispose()
