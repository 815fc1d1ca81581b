"""One login on a connection to be made: what is worked out before it, offered while it lasts, and said after it.

Threads and asyncio share it; their two shells are in `connect`.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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

__all__ = ["Login", "prepare", "question"]

_DRIVER_ARGUMENTS: Final = frozenset({"autocommit", "prepare_threshold", "context", "row_factory", "cursor_factory"})

_plans = Plans()
_known = KnownServers()


@dataclass(frozen=True, slots=True)
class Login:
    """A login that the rules allow to be tried, once there is a token."""

    plan: Plan
    source: TokenSource
    own: str | None
    """The one issuer that the token itself may name."""

    def arguments(self, kwargs: Mapping[str, Any], offered: Offer) -> dict[str, Any]:
        """The keyword arguments of psycopg's connect, with the offer's name among them."""
        return _arguments(kwargs, self.plan, offered)

    @contextmanager
    def attempt(self, token: AccessToken) -> Iterator[Offer]:
        """Offer `token` for one connection, say what went wrong in our words, and remember what the server asked for.

        Raises:
            UnsafeServerError: `token` says that it is another issuer's.
            PgbearerError: what `connect` raises, for what came of the block.
        """
        said = issuer_in(token)
        if self.own is not None and said != self.own:
            pin((self.own, said))
        with offer(token, self.plan.issuer) as offered:
            try:
                yield offered
            except psycopg.OperationalError as error:
                _known.forget(self.plan.server)
                if offered.error is not None:
                    raise offered.error from None
                raise explained(error, offered, token, self.plan, now=time.time()) from error
        if not offered.handed_over:
            raise TokenRefusedError(
                "the connection was opened without our token, and is closed again",
                hint="Another library in this process answers libpq's PQsetAuthDataHook in our place.",
            )
        if offered.believed is None:  # else it is our own word that has come back
            _known.remember(self.plan.server, offered.discovery_url)


def prepare(
    conninfo: str,
    kwargs: Mapping[str, Any],
    *,
    source: TokenSource | None,
    token: AccessToken | str | None,
    issuer: str | None,
    behind: str | None,
    client_id: str | None,
    scope: str | None,
) -> Login:
    """Apply every rule that needs no token; the arguments and errors are those of `connect`."""
    try:
        giver = _source(source, token)
    finally:
        del token  # a traceback that shows locals would show it
    issuers = _servers_of(issuer, giver, behind)
    plan = _plan(conninfo, kwargs, issuers, client_id, scope)
    return Login(plan, giver, plan.issuer if behind is None else issuer or giver.issuer)


@contextmanager
def question(conninfo: str, kwargs: Mapping[str, Any], issuer: str) -> Iterator[dict[str, Any]]:
    """Have the block ask a server whose tokens it wants, and give it none; the errors are those of `check_server`.

    Yields:
        The keyword arguments of psycopg's connect.
    """
    plan = _plan(conninfo, kwargs, (issuer,), None, None)
    with offer(None, plan.issuer) as asked:
        try:
            yield _arguments(kwargs, plan, asked)
        except psycopg.OperationalError as error:
            if asked.error is None:
                raise without_token(error) from error
    if not isinstance(asked.error, NothingToGiveError):
        raise asked.error or TokenRefusedError("the server let us in without a token")
    if asked.believed is None:
        _known.remember(plan.server, asked.discovery_url)


def _source(source: TokenSource | None, token: AccessToken | str | None) -> TokenSource:
    try:
        if source is None and token is not None:
            return StaticSource(token)
        if source is not None and token is None:
            return source
        raise UsageError("give either source= or token=")
    finally:
        del token  # as in prepare


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
    url = offered.believed = _known.discovery_url(plan.server)
    return {**kwargs, **plan.added, **({"oauth_issuer": url} if url else {}), CARRIER: offered.name}
