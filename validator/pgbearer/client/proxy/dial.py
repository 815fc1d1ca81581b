"""A login at an upstream: one host after the other until one takes the token and is of the wanted kind."""

import asyncio
import random
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from pgbearer.client.connection.failure import ServerUnreachableError
from pgbearer.client.connection.known import KnownServers
from pgbearer.client.proxy.channel import Address, addresses_of, open_channel
from pgbearer.client.proxy.messages import (
    TERMINATE,
    Message,
    MessageError,
    key_of,
    parameter_status,
)
from pgbearer.client.proxy.oauthbearer import MAX_LOGIN_BYTES, Login, Outcome, ServerRefusedError
from pgbearer.client.proxy.refusal import CANNOT_CONNECT_NOW, fields_of
from pgbearer.client.proxy.startup import Startup
from pgbearer.client.proxy.upstream import Route
from pgbearer.client.proxy.wire import Wire, Workspace
from pgbearer.client.token import AccessToken
from pgbearer.errors import PgbearerError

__all__ = ["Dialer", "LoggedIn"]

T = TypeVar("T")

_MOST_MESSAGES: Final = 256  # between a login and the first ReadyForQuery; servers send about fifteen


@dataclass(slots=True)
class LoggedIn:
    """A connection that the server has let in and that is ready for its first query."""

    wire: Wire
    address: Address
    said: list[Message]
    """All that the client is to see of the login, in order, up to ReadyForQuery, without the cancel key."""
    key: tuple[int, bytes] | None
    """The server's own cancel key, with its process id; None if it gave none."""


class Dialer:
    """Logs in at one upstream. Safe in the tasks of one event loop: any number at once.

    Args:
        route: where to.
        known: which servers have asked for the pinned issuer's tokens a moment ago.
        space: of the event loop.
        seconds: for all hosts together.
    """

    def __init__(self, route: Route, known: KnownServers, space: Workspace, seconds: float) -> None:
        self.route = route
        self._known = known
        self._space = space
        self._seconds = seconds

    async def dial(self, startup: Startup, token: AccessToken, when_lost: Callable[[Wire], None]) -> LoggedIn:
        """Log in with `token` at the first host that is of the wanted kind.

        Args:
            startup: what the server is sent, but for the login.
            token: good now.
            when_lost: called when the connection is over, from the login on.

        Raises:
            ServerRefusedError: the server said no; no other host is asked, as libpq does.
            TokenRefusedError, UnsafeServerError: a server that may not have the token.
            ServerUnreachableError: no host could be asked, or none is of the wanted kind.
        """
        problem: ServerUnreachableError | ServerRefusedError | None = None
        ends_at = self._space.clock() + self._seconds
        for wanted in self._wanted():
            for host in self._in_order(self.route.hosts):
                try:
                    async with asyncio.timeout(ends_at - self._space.clock()):
                        addresses = await addresses_of(host)
                except (ServerUnreachableError, TimeoutError) as error:
                    slow = ServerUnreachableError("looking up the server took too long", where=str(host))
                    problem = error if isinstance(error, ServerUnreachableError) else slow
                    continue
                for address in self._in_order(addresses):
                    came = await self._attempt(_Attempt(address, startup, token, when_lost, wanted), ends_at)
                    if isinstance(came, LoggedIn):
                        return came
                    problem = came
        raise problem or ServerUnreachableError("no host to connect to", where=self.route.upstream.name)

    def _wanted(self) -> Iterator[str]:
        """``target_session_attrs``, a round for each: prefer-standby takes any in its second."""
        if self.route.session_attrs == "prefer-standby":
            yield "standby"
            yield "any"
        else:
            yield self.route.session_attrs

    def _in_order(self, places: Sequence[T]) -> list[T]:
        """``load_balance_hosts``: hosts, and the addresses of each, as they stand or at random."""
        return random.sample(places, len(places)) if self.route.at_random else list(places)

    async def _attempt(
        self, attempt: "_Attempt", ends_at: float
    ) -> LoggedIn | ServerUnreachableError | ServerRefusedError:
        """One address; an error that lets libpq go on to the next host is returned, others are raised."""
        left = ends_at - self._space.clock()
        try:
            async with asyncio.timeout(min(left, self.route.connect_timeout or left)):
                return await self._log_in(attempt)
        except TimeoutError:
            return ServerUnreachableError("the login took too long", where=str(attempt.address))
        except MessageError as error:
            return ServerUnreachableError(f"the server does not speak PostgreSQL's protocol: {error}")
        except ServerUnreachableError as error:
            return error
        except ServerRefusedError as error:
            if fields_of(error.body).get("C") != CANNOT_CONNECT_NOW:
                raise
            return error  # starting up or shutting down

    async def _log_in(self, attempt: "_Attempt") -> LoggedIn:
        server = attempt.server
        if self._known.discovery_url(server) is None:
            await self._discover(attempt)
        try:
            async with open_channel(self.route, attempt.address, attempt.when_lost, self._space) as wire:
                login = Login(self.route.issuer, attempt.token)
                await _converse(wire, attempt, login)
                logged_in = await _until_ready(wire, attempt, login)
                _check_kind(logged_in, attempt.wanted)
                return logged_in
        except (ServerRefusedError, MessageError, PgbearerError):
            self._known.forget(server)
            raise

    async def _discover(self, attempt: "_Attempt") -> None:
        """Hear whose token the server wants, on a connection of its own that gets none (RFC 7628 section 4.3)."""
        async with open_channel(self.route, attempt.address, _nobody, self._space) as wire:
            login = Login(self.route.issuer, None)
            try:
                await _converse(wire, attempt, login)
            except ServerRefusedError as refused:
                if refused.asked is None:
                    raise
                self._known.remember(attempt.server, refused.asked.discovery_url)
            finally:
                wire.abort()


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What a login is made of, at one address."""

    address: Address
    startup: Startup
    token: AccessToken
    when_lost: Callable[[Wire], None]
    wanted: str

    @property
    def server(self) -> Hashable:
        """What chooses the server's HBA line, and with it the issuer that it asks for."""
        asked = self.startup
        return self.address, asked.user, asked.database, asked.replication


async def _converse(wire: Wire, attempt: _Attempt, login: Login) -> None:
    """The login, until the server lets us in; raises what `Login.receive` does."""
    wire.write(attempt.startup.encode())
    while login.outcome is not Outcome.LET_IN:
        answer = login.receive(await _next(wire, attempt))
        if answer is not None:
            wire.write(answer)
        del answer  # it holds the token


async def _next(wire: Wire, attempt: _Attempt) -> Message:
    said = await wire.message(MAX_LOGIN_BYTES)
    if said is None:
        raise ServerUnreachableError("the server closed the connection during the login", where=str(attempt.address))
    return said


async def _until_ready(wire: Wire, attempt: _Attempt, login: Login) -> LoggedIn:
    """What follows the login: parameters, notices, the cancel key, and that the server is ready."""
    said = list(login.negotiated)
    key: tuple[int, bytes] | None = None
    for _ in range(_MOST_MESSAGES):
        came = await _next(wire, attempt)
        match came.kind:
            case b"E":
                raise ServerRefusedError(came.body, None)
            case b"K":
                key = key_of(came.body)
            case b"Z":
                return LoggedIn(wire, attempt.address, [*said, came], key)
            case b"S" | b"N":
                said.append(came)
            case _:
                raise MessageError(f"a message {came.kind!r} after the login")
    raise MessageError("no end of messages after the login")


def _check_kind(logged_in: LoggedIn, wanted: str) -> None:
    """Whether the session is of the kind that ``target_session_attrs`` wants, by what the server reported of itself.

    Raises:
        ServerUnreachableError: it is not; the session was ended.
    """
    told: dict[str, str] = {}
    for said in logged_in.said:
        if said.kind == b"S":
            told |= parameter_status(said.body)
    standby = told.get("in_hot_standby") == "on"
    read_only = standby or told.get("default_transaction_read_only") == "on"
    fits = {
        "any": True,
        "primary": not standby,
        "standby": standby,
        "read-write": not read_only,
        "read-only": read_only,
    }
    if not fits[wanted]:
        logged_in.wire.write(TERMINATE)
        logged_in.wire.close()
        raise ServerUnreachableError(f"the session is not {wanted}", where=str(logged_in.address))


def _nobody(_wire: Wire) -> None:
    """Nobody waits for the end of a connection that only asks."""
