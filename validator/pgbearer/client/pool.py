"""psycopg's pools, with a fresh token for each new connection and no connection that outlives its session.

A pool of psycopg looks at the age of a connection when it comes back, not while it waits; and after failed checks it
pauses, longer each time. Connections that were opened with one token end together, so one that is over means that all
are: the pool is drained, its workers open new ones at once, and whoever waits gets the first.
"""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from psycopg.rows import AsyncRowFactory, Row, RowFactory

from pgbearer.client.connection.connect import AsyncConnection, Connection
from pgbearer.client.connection.session import BearerSession, SessionEndedError
from pgbearer.client.sources import TokenSource
from pgbearer.errors import MissingExtraError, PgbearerError

try:
    import psycopg_pool
except ImportError as error:
    raise MissingExtraError("pool", str(error.name)) from None

__all__ = ["AsyncConnectionPool", "ConnectionPool"]


class ConnectionPool(psycopg_pool.ConnectionPool[Connection[Row]]):
    """A `psycopg_pool.ConnectionPool` whose connections log in with a token. Safe in threads, as that is.

    What a source raises, and every refusal, is in the log of ``psycopg.pool``; who waited for nothing gets a
    `psycopg_pool.PoolTimeout`, whose message ends with the last of them.

    Args:
        conninfo: connection string or URL.
        source: asked for a token for each new connection.
        row_factory: what the rows are, also to a type checker.
        kwargs: more for `Connection.connect`: ``issuer``, ``behind``, ``autocommit``, connection keywords ...
        check: called for each connection that is about to be lent, after our own check; raises if it is no good.
        options: as for `psycopg_pool.ConnectionPool`: ``min_size``, ``max_size``, ``open``, ``timeout`` ...
    """

    def __init__(
        self,
        conninfo: str = "",
        *,
        source: TokenSource,
        row_factory: RowFactory[Row] | None = None,
        kwargs: dict[str, Any] | None = None,
        check: Callable[[Connection[Row]], None] | None = None,
        **options: Any,
    ) -> None:
        self._drains = _Drains()
        self._their_check = check
        self._failure = failure = _Failure()

        class Heard(Connection[Row]):
            @classmethod
            def connect(cls, *args: Any, **kwargs: Any) -> Self:
                with failure.heard():
                    return super().connect(*args, **kwargs)

        super().__init__(
            conninfo,
            connection_class=Heard,
            kwargs={**(kwargs or {}), "source": source, "row_factory": row_factory},
            check=self._check_or_drain,
            **options,
        )

    def getconn(self, timeout: float | None = None) -> Connection[Row]:
        """As psycopg's, which `connection` calls."""
        with self._failure.told():
            return super().getconn(timeout)

    def _check_or_drain(self, connection: Connection[Row]) -> None:
        try:
            connection.check_session()
        except SessionEndedError:
            if self._drains.due(connection):
                self.drain()
            raise
        if self._their_check is not None:
            self._their_check(connection)


class AsyncConnectionPool(psycopg_pool.AsyncConnectionPool[AsyncConnection[Row]]):
    """`ConnectionPool` for asyncio; a `psycopg_pool.AsyncConnectionPool`. For the tasks of one event loop."""

    def __init__(
        self,
        conninfo: str = "",
        *,
        source: TokenSource,
        row_factory: AsyncRowFactory[Row] | None = None,
        kwargs: dict[str, Any] | None = None,
        check: Callable[[AsyncConnection[Row]], Awaitable[None]] | None = None,
        **options: Any,
    ) -> None:
        self._drains = _Drains()
        self._their_check = check
        self._failure = failure = _Failure()

        class Heard(AsyncConnection[Row]):
            @classmethod
            async def connect(cls, *args: Any, **kwargs: Any) -> Self:
                with failure.heard():
                    return await super().connect(*args, **kwargs)

        super().__init__(
            conninfo,
            connection_class=Heard,
            kwargs={**(kwargs or {}), "source": source, "row_factory": row_factory},
            check=self._check_or_drain,
            **options,
        )

    async def getconn(self, timeout: float | None = None) -> AsyncConnection[Row]:  # noqa: ASYNC109  psycopg's name
        """As psycopg's, which `connection` calls."""
        with self._failure.told():
            return await super().getconn(timeout)

    async def _check_or_drain(self, connection: AsyncConnection[Row]) -> None:
        try:
            await connection.check_session()
        except SessionEndedError:
            if self._drains.due(connection):
                await self.drain()
            raise
        if self._their_check is not None:
            await self._their_check(connection)


class _Failure:
    """Why the last attempt to connect failed, for who waits until there is no time left: psycopg tells only its log.

    Its words alone: the error itself would keep alive all that its traceback leads to.
    """

    def __init__(self) -> None:
        self._last: str | None = None

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Around an attempt."""
        try:
            yield
        except PgbearerError as error:
            self._last = str(error)
            raise
        self._last = None

    @contextmanager
    def told(self) -> Iterator[None]:
        """Around a wait."""
        try:
            yield
        except psycopg_pool.PoolTimeout as error:
            if self._last is None:
                raise
            raise psycopg_pool.PoolTimeout(f"{error}: {self._last}") from None


class _Drains:
    """When the pool was drained last, so that connections that have been lent do not drain it again, one by one."""

    def __init__(self) -> None:
        self._last = float("-inf")

    def due(self, connection: BearerSession[Any]) -> bool:
        """Whether those that wait may be as old as `connection`, which is over."""
        if connection.opened_at is not None and connection.opened_at <= self._last:
            return False
        self._last = time.monotonic()
        return True
