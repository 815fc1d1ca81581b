"""psycopg connections that log in with a token."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from pgbearer.client.connection.failure import TokenRefusedError, explained, without_token
from pgbearer.client.connection.hook import CARRIER, NothingToGiveError, Offer, offer
from pgbearer.client.connection.known import KnownServers
from pgbearer.client.connection.pinned import pin
from pgbearer.client.connection.plan import Plan, Plans
from pgbearer.client.peek import issuer_in
from pgbearer.client.sources import StaticSource, TokenSource
from pgbearer.client.token import AccessToken
from pgbearer.errors import UsageError

__all__ = ["check_server", "connect", "connect_async"]

_DRIVER_ARGUMENTS: Final = frozenset({"autocommit", "prepare_threshold", "context", "row_factory", "cursor_factory"})

_plans = Plans()
_known = KnownServers()


def connect(
    conninfo: str = "",
    *,
    source: TokenSource | None = None,
    token: AccessToken | str | None = None,
    issuer: str | None = None,
    behind: str | None = None,
    client_id: str | None = None,
    scope: str | None = None,
    **kwargs: Any,
) -> psycopg.Connection[Any]:
    """Connect to PostgreSQL 18 or later with a token, and return an ordinary psycopg connection.

    The token leaves only for a server reached over a Unix socket, or over TLS with ``sslmode=verify-full`` (set if
    nothing else is), and only after that server has itself named the pinned issuer. No other login method is open: no
    password is asked for, read from a file or sent.

    Args:
        conninfo: connection string or URL; service file, environment and defaults apply as libpq says.
        source: where the token comes from; give this or `token`.
        token: a token in hand.
        issuer: the one issuer whose servers may have it. May be left out where the source, the token or
            ``oauth_issuer`` names it; all that are there must agree.
        behind: for a token of a workload that servers take behind another issuer's HBA lines (``issuers.*.behind`` in
            their pgbearer.yaml): that issuer, whose servers may then have it instead; ``oauth_issuer`` must agree.
        client_id: libpq's ``oauth_client_id``; of no consequence here but for its messages.
        scope: libpq's ``oauth_scope``; what the server asks for if None.
        kwargs: as for `psycopg.Connection.connect`: ``autocommit``, ``row_factory`` ..., and connection keywords.

    Returns:
        A connection that has nothing to do with the token any more. The session ends when the server says so.

    Raises:
        UsageError: the arguments or the connection string are not usable; nothing was sent.
        UnsafeServerError: the token might have reached the wrong server; it was not sent.
        LibpqTooOldError: psycopg's libpq is older than 18.
        TokenRefusedError: the server refused; also a `psycopg.OperationalError`.
        ServerUnreachableError: there was no server to ask; also a `psycopg.OperationalError`.
        PgbearerError: what `source` raises.

    Safe in threads: any number, with different tokens, at once. `source.token` is called after the checks that need no
    token, so that nobody logs in for a connection string that would be refused.
    """
    try:
        giver = _source(source, token)
    finally:
        del token  # a traceback that shows locals would show it
    plan = _plan(conninfo, kwargs, _servers_of(issuer, giver, behind), client_id, scope)
    with _attempt(plan, giver.token(), plan.issuer if behind is None else issuer or giver.issuer) as offered:
        connection = psycopg.Connection.connect(conninfo, **_arguments(kwargs, plan, offered))
        if not offered.handed_over:
            connection.close()
    return connection


async def connect_async(
    conninfo: str = "",
    *,
    source: TokenSource | None = None,
    token: AccessToken | str | None = None,
    issuer: str | None = None,
    behind: str | None = None,
    client_id: str | None = None,
    scope: str | None = None,
    **kwargs: Any,
) -> psycopg.AsyncConnection[Any]:
    """`connect` for asyncio: the same arguments, rules and errors, and a `psycopg.AsyncConnection`.

    The token is had with ``await source.token_async()`` before libpq is asked to connect, because libpq's hook cannot
    wait. Safe in tasks and event loops: any number, with different tokens, at once. Cancelling is safe at any point.
    """
    try:
        giver = _source(source, token)
    finally:
        del token  # a traceback that shows locals would show it
    plan = _plan(conninfo, kwargs, _servers_of(issuer, giver, behind), client_id, scope)
    given = await giver.token_async()
    with _attempt(plan, given, plan.issuer if behind is None else issuer or giver.issuer) as offered:
        connection = await psycopg.AsyncConnection.connect(conninfo, **_arguments(kwargs, plan, offered))
        if not offered.handed_over:
            await connection.close()
    return connection


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
    plan = _plan(conninfo, kwargs, (issuer,), None, None)
    with offer(None, plan.issuer) as asked:
        try:
            psycopg.Connection.connect(conninfo, **_arguments(kwargs, plan, asked)).close()
        except psycopg.OperationalError as error:
            if asked.error is None:
                raise without_token(error) from error
    if not isinstance(asked.error, NothingToGiveError):
        raise asked.error or TokenRefusedError("the server let us in without a token")
    _known.remember(plan.server, asked.discovery_url)


def _source(source: TokenSource | None, token: AccessToken | str | None) -> TokenSource:
    try:
        if source is None and token is not None:
            return StaticSource(token)
        if source is not None and token is None:
            return source
        raise UsageError("give either source= or token=")
    finally:
        del token  # as in connect


def _servers_of(issuer: str | None, giver: TokenSource, behind: str | None) -> tuple[str | None, ...]:
    """Whoever says whose servers may have the token: all who name its issuer, or the one who names another for it."""
    if behind is None:
        return issuer, giver.issuer
    if issuer is not None and giver.issuer is not None:
        pin((issuer, giver.issuer))
    return (behind,)


def _plan(
    conninfo: str,
    kwargs: Mapping[str, Any],
    issuers: tuple[str | None, ...],
    client_id: str | None,
    scope: str | None,
) -> Plan:
    keywords = {name: value for name, value in kwargs.items() if name not in _DRIVER_ARGUMENTS}
    return _plans.plan(conninfo, keywords, issuers=issuers, client_id=client_id, scope=scope)


def _arguments(kwargs: Mapping[str, Any], plan: Plan, offered: Offer) -> dict[str, Any]:
    """The keyword arguments of psycopg's connect, with the offer's name among them."""
    url = _known.discovery_url(plan.server)
    return {**kwargs, **plan.added, **({"oauth_issuer": url} if url else {}), CARRIER: offered.name}


@contextmanager
def _attempt(plan: Plan, token: AccessToken, own: str | None) -> Iterator[Offer]:
    """Offer the token for one connection, say what went wrong in our words, and remember what the server asked for.

    `own` is the issuer that the token itself may name.
    """
    said = issuer_in(token)
    if own is not None and said != own:
        pin((own, said))
    with offer(token, plan.issuer) as offered:
        try:
            yield offered
        except psycopg.OperationalError as error:
            _known.forget(plan.server)
            if offered.error is not None:
                raise offered.error from None
            raise explained(error, offered, token, now=time.time()) from error
    if not offered.handed_over:
        raise TokenRefusedError(
            "the connection was opened without our token, and is closed again",
            hint="Another library in this process answers libpq's PQsetAuthDataHook in our place.",
        )
    _known.remember(plan.server, offered.discovery_url)
