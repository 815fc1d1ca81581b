"""psycopg connections that log in with a token."""

from typing import Any, Self

import psycopg
from psycopg.rows import AsyncRowFactory, Row, RowFactory

from pgbearer.client.connection.attempt import prepare, question
from pgbearer.client.connection.session import BearerSession, check, remember
from pgbearer.client.sources import TokenSource
from pgbearer.client.token import AccessToken

__all__ = ["AsyncConnection", "Connection", "check_server", "connect", "connect_async"]


class Connection(BearerSession[Row], psycopg.Connection[Row]):
    """A `psycopg.Connection` that was opened with a token, for whatever takes a class of connections.

    Once it is open it has nothing to do with the token any more. The session ends when the server says so.
    """

    @classmethod
    def connect(  # type: ignore[override]  # what psycopg's has beside these goes to it among kwargs
        cls,
        conninfo: str = "",
        *,
        source: TokenSource | None = None,
        token: AccessToken | str | None = None,
        issuer: str | None = None,
        behind: str | None = None,
        client_id: str | None = None,
        scope: str | None = None,
        row_factory: RowFactory[Row] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Connect to PostgreSQL 18 or later with a token; `pgbearer.connect` is this.

        The token leaves only for a server reached over a Unix socket, or over TLS with ``sslmode=verify-full`` (set if
        nothing else is), and only after that server has itself named the pinned issuer. No other login method is open:
        no password is asked for, read from a file or sent.

        Args:
            conninfo: connection string or URL; service file, environment and defaults apply as libpq says.
            source: where the token comes from; give this or `token`.
            token: a token in hand.
            issuer: the one issuer whose servers may have it. May be left out where the source, the token or
                ``oauth_issuer`` names it; all that are there must agree.
            behind: for a token of a workload that servers take behind another issuer's HBA lines (``issuers.*.behind``
                in their pgbearer.yaml): that issuer, whose servers may then have it instead; ``oauth_issuer`` must
                agree.
            client_id: libpq's ``oauth_client_id``; of no consequence here but for its messages.
            scope: libpq's ``oauth_scope``; what the server asks for if None.
            row_factory: as for `psycopg.Connection.connect`; what the rows are, also to a type checker.
            kwargs: as for `psycopg.Connection.connect`: ``autocommit`` ..., and connection keywords.

        Raises:
            UsageError: the arguments or the connection string are not usable; nothing was sent.
            UnsafeServerError: the token might have reached the wrong server; it was not sent.
            LibpqTooOldError: psycopg's libpq is older than 18.
            TokenRefusedError: the server refused; also a `psycopg.OperationalError`.
            ServerUnreachableError: there was no server to ask; also a `psycopg.OperationalError`.
            PgbearerError: what `source` raises.

        Safe in threads: any number, with different tokens, at once. `source.token` is called after the checks that need
        no token, so that nobody logs in for a connection string that would be refused.
        """
        kwargs["row_factory"] = row_factory
        try:
            login = prepare(
                conninfo,
                kwargs,
                source=source,
                token=token,
                issuer=issuer,
                behind=behind,
                client_id=client_id,
                scope=scope,
            )
        finally:
            del token  # a traceback that shows locals would show it
        given = login.source.token()
        with login.attempt(given) as offered:
            connection = super().connect(conninfo, **login.arguments(kwargs, offered))
            if not offered.handed_over:
                connection.close()
        remember(connection, given)
        return connection

    def check_session(self) -> None:
        """Say whether the connection, which must be idle, can be given work; if not, it is closed.

        Takes microseconds, and asks nobody. For a pool of another make than ours: ``check=Connection.check_session``.

        Raises:
            SessionEndedError: the server has ended the session, or the token that opened it ends within a tenth of the
                time that it had left, at most 30 s.

        Not safe while another thread uses the connection.
        """
        check(self)


class AsyncConnection(BearerSession[Row], psycopg.AsyncConnection[Row]):
    """A `Connection` for asyncio: a `psycopg.AsyncConnection` that was opened with a token."""

    @classmethod
    async def connect(  # type: ignore[override]  # as above
        cls,
        conninfo: str = "",
        *,
        source: TokenSource | None = None,
        token: AccessToken | str | None = None,
        issuer: str | None = None,
        behind: str | None = None,
        client_id: str | None = None,
        scope: str | None = None,
        row_factory: AsyncRowFactory[Row] | None = None,
        **kwargs: Any,
    ) -> Self:
        """`Connection.connect` for asyncio: the same arguments, rules and errors; `pgbearer.connect_async` is this.

        The token is had with ``await source.token_async()`` before libpq is asked to connect, because libpq's hook
        cannot wait. Safe in tasks and event loops: any number, with different tokens, at once. Cancelling is safe at
        any point.
        """
        kwargs["row_factory"] = row_factory
        try:
            login = prepare(
                conninfo,
                kwargs,
                source=source,
                token=token,
                issuer=issuer,
                behind=behind,
                client_id=client_id,
                scope=scope,
            )
        finally:
            del token  # a traceback that shows locals would show it
        given = await login.source.token_async()
        with login.attempt(given) as offered:
            connection = await super().connect(conninfo, **login.arguments(kwargs, offered))
            if not offered.handed_over:
                await connection.close()
        remember(connection, given)
        return connection

    async def check_session(self) -> None:
        """As `Connection.check_session`; never blocks. Not safe while another task uses the connection."""
        check(self)


connect = Connection.connect
connect_async = AsyncConnection.connect


def check_server(conninfo: str = "", *, issuer: str, **kwargs: Any) -> None:
    """Connect as far as one can without a token: until the server asks for one of `issuer`.

    So that nobody logs in, in a browser, for a server that is not there or wants something else. The server takes it
    for a login that was given up. `connect` then need not ask again.

    Args:
        conninfo: as for `connect`.
        issuer: whose tokens the server must ask for.
        kwargs: as for `connect`.

    Raises:
        UsageError: the connection string is not usable; nothing was sent.
        UnsafeServerError: the server must not have, or does not want, a token of this issuer.
        LibpqTooOldError: psycopg's libpq is older than 18.
        TokenRefusedError: the server asks for another kind of login, or for none.
        ServerUnreachableError: there is no server to ask.

    Safe in threads, as `connect` is.
    """
    with question(conninfo, kwargs, issuer) as arguments:
        psycopg.Connection.connect(conninfo, **arguments).close()
