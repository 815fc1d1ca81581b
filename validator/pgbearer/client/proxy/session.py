"""One client of the proxy: from its first byte over the login at the server to the relay and its end."""

import asyncio
import logging
import time
from typing import Final

from pgbearer.client.connection.failure import hints
from pgbearer.client.connection.pinned import pin
from pgbearer.client.peek import issuer_in
from pgbearer.client.plain import plain
from pgbearer.client.proxy.cancel import Target, key_data
from pgbearer.client.proxy.desk import Desk
from pgbearer.client.proxy.dial import LoggedIn
from pgbearer.client.proxy.greeting import greet
from pgbearer.client.proxy.messages import AUTHENTICATION_OK, TERMINATE, MessageError, message
from pgbearer.client.proxy.oauthbearer import ServerRefusedError
from pgbearer.client.proxy.refusal import (
    CONNECTION_FAILURE,
    INVALID_AUTHORIZATION,
    TOO_MANY,
    RefusedError,
    amended,
    fatal,
    fields_of,
    refusal_of,
)
from pgbearer.client.proxy.startup import Cancel, Startup
from pgbearer.client.proxy.wire import Wire
from pgbearer.client.sources import TokenSource
from pgbearer.client.token import AccessToken
from pgbearer.errors import PgbearerError, whereabouts

__all__ = ["Session"]

_CLOSING_SECONDS: Final = 30.0  # for a server to hear the end

_log = logging.getLogger(__name__)


class Session:
    """A client that has connected. Made by a `Desk`; ends by itself, and then tells the desk.

    Args:
        desk: of the upstream, with all that its clients share.
        uid: who it is, by the kernel; None is somebody who has to prove the secret.
    """

    def __init__(self, desk: Desk, uid: int | None) -> None:
        self._desk = desk
        self.uid = uid
        self.local = Wire(self._local_lost, desk.house.space)
        self.upstream: Wire | None = None
        self.began = desk.house.space.clock()
        self._pid: int | None = None
        self._target: Target | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._farewell: bytes | None = None

    # before the login

    def start(self) -> None:
        """Begin to serve it; its wire is connected."""
        self._task = asyncio.get_running_loop().create_task(self._serve())
        self._task.add_done_callback(self._served)

    def drop(self) -> None:
        """It has not said in time what it wants: end it without a word."""
        self.local.abort()

    def turn_away(self, error: bytes) -> None:
        """End it with an ErrorResponse, before or instead of a login."""
        self.local.write(error)
        self.local.close()
        self._await_end(self.local, _CLOSING_SECONDS)

    async def _serve(self) -> None:
        house = self._desk.house
        try:
            async with asyncio.timeout(house.settings.startup_seconds):
                asked = await greet(self.local, self._desk.verifier)
        except TimeoutError:
            self._desk.house.guests.dropped += 1
            self.drop()
            return
        except MessageError as error:
            self._refuse(RefusedError("08P01", str(error)))
            return
        except PgbearerError as error:
            self._refuse(error)
            return
        finally:
            self._desk.has_said(self)
        match asked:
            case Startup():
                await self._log_in(asked)
            case Cancel():
                await self._desk.cancel(asked, self.uid)
        if self.upstream is None:
            self.local.close()

    def _source(self) -> TokenSource:
        """What gives this client's tokens.

        Raises:
            RefusedError: it may have none, or there are too many clients.
        """
        house, upstream = self._desk.house, self._desk.route.upstream
        source = upstream.source_for(self.uid)
        if source is None:
            who = f"uid {self.uid} may not use this proxy" if self.uid is not None else "it is for Unix sockets only"
            raise RefusedError(INVALID_AUTHORIZATION, who, hint="Run a proxy of your own, or become one of its peers.")
        if house.guests.finished > house.settings.most_connections:
            raise RefusedError(TOO_MANY, "sorry, too many clients already")
        if upstream.admit is not None and house.guests.of(self.uid) > house.settings.most_connections // 2:
            raise RefusedError(TOO_MANY, f"sorry, too many clients of uid {self.uid} already")
        return source

    async def _log_in(self, asked: Startup) -> None:
        token: AccessToken | None = None
        try:
            with self._desk.connecting():
                source = self._source()
                startup = self._desk.route.pins.hold(asked)
                token = await self._token(source)
                logged_in = await self._desk.dialer.dial(startup, token, self._upstream_lost)
        except ServerRefusedError as refused:
            self._pass_on(refused, token, asked)
        except PgbearerError as error:
            self._refuse(error)
        else:
            self._relay(logged_in)

    async def _token(self, source: TokenSource) -> AccessToken:
        seconds = self._desk.house.settings.source_seconds
        try:
            async with asyncio.timeout(seconds) as limit:
                token = await source.token_async()
        except TimeoutError:
            if not limit.expired():
                raise
            raise RefusedError("57014", f"no token came within {seconds:.0f} s") from None
        own, said = self._desk.route.own_issuer, issuer_in(token)
        if own is not None:
            pin((own, said))
        return token

    def _refuse(self, error: PgbearerError) -> None:
        self._desk.refuse(plain(error.what))
        self.turn_away(refusal_of(error))

    def _pass_on(self, refused: ServerRefusedError, token: AccessToken | None, asked: Startup) -> None:
        """The server's own refusal, with what this side can say of the token."""
        fields = fields_of(refused.body)
        self._desk.refuse(plain(f"{fields.get('C')}: {fields.get('M')}"))
        said = refused.body
        if refused.asked is None or token is None:
            self.turn_away(message(b"E", said))
            return
        sentences = hints(
            token,
            server_scope=refused.asked.scope,
            now=time.time(),
            role=asked.user.decode(errors="replace"),
            server_issuer=self._desk.route.issuer,
        )
        self.turn_away(amended(said, hint="\n".join(sentences)))

    def _served(self, task: "asyncio.Task[None]") -> None:
        """Nobody foresaw this error: the client hears no details, the log where it was."""
        self._task = None
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("a client of %s met %s", self._desk.route.upstream.name, whereabouts(error))
            self._desk.refuse(type(error).__name__)
            self.turn_away(fatal("XX000", "pgbearer: internal error, see the proxy's log"))

    # after the login

    def _relay(self, logged_in: LoggedIn) -> None:
        """Let the client see the login, then let everything through."""
        if self.local.lost:
            logged_in.wire.close()
            return
        self.upstream = logged_in.wire
        *said, ready = logged_in.said
        versions = [part.encode() for part in said if part.kind == b"v"]
        others = [part.encode() for part in said if part.kind != b"v"]
        self.local.write(b"".join((*versions, AUTHENTICATION_OK, *others, self._own_key(logged_in), ready.encode())))
        self._desk.logged_in()
        self.upstream.tail, self.upstream.spoke_last = ready.encode(), True
        most_kept = self._desk.house.settings.buffer_bytes
        self.local.join(self.upstream, most_kept, half_close=True)
        self.upstream.join(self.local, most_kept, half_close=False)
        if self.upstream.ended:  # it ended between its last word and now
            self._upstream_lost(self.upstream)

    def _own_key(self, logged_in: LoggedIn) -> bytes:
        if logged_in.key is None:
            return b""
        self._target = Target(self._desk.route, logged_in.address, *logged_in.key, self.uid)
        self._pid, key = self._desk.house.keys.give(self._target)
        return key_data(self._pid, key)

    @property
    def is_idle(self) -> bool:
        """Whether it is logged in, and its server waits for its next query.

        Who spoke last is remembered, not read off a clock: uvloop's goes by milliseconds (uv_now), and a query often
        follows the last answer in less.
        """
        upstream = self.upstream
        return upstream is not None and upstream.is_between_queries and upstream.spoke_last

    @property
    def last_byte(self) -> float:
        """When a byte passed last, either way."""
        return max(self.local.last_byte, self.upstream.last_byte if self.upstream is not None else self.began)

    def end(self, sqlstate: str, text: str) -> None:
        """End it from this side: with an ErrorResponse where one can stand, at once where not."""
        if self.upstream is not None:
            if self.is_idle:
                self.local.write(fatal(sqlstate, text))
                self.upstream.write(TERMINATE)
            elif self._target is not None:  # or the server would go on with a query that nobody waits for
                self._desk.cancel_soon(self._target)
            self.local.close()
            self._await_end(self.local, _CLOSING_SECONDS)
            return
        if self._task is not None:
            self._task.cancel()
        self.turn_away(fatal(sqlstate, text))

    def retire(self, sqlstate: str, text: str) -> None:
        """Have the server end it once it has answered all that it was sent, and tell the client why then.

        The server may be at work although it spoke last: a client may send its next queries before the answers to the
        first (pipelining), and what passes is not read. A Terminate comes after them all.
        """
        if self.upstream is not None and self._farewell is None:
            self._farewell = fatal(sqlstate, text)
            self.upstream.write(TERMINATE)

    def _local_lost(self, _wire: Wire) -> None:
        """The client has gone."""
        if self._task is not None:
            self._task.cancel()
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        if self._pid is not None:
            self._desk.house.keys.take_back(self._pid)
        upstream = self.upstream
        if upstream is not None:
            upstream.close()
            self._await_end(upstream, _CLOSING_SECONDS)
            self._desk.logged_out()
        self._desk.house.guests.left(self)

    def _upstream_lost(self, wire: Wire) -> None:
        """The server has gone; if it did not say why, we do, where a message can stand."""
        if self._closing is not None and self.local.lost:
            self._closing.cancel()
            self._closing = None
        if wire is not self.upstream or self.local.lost:
            return
        if wire.is_between_queries and not self.local.has_terminated:
            lost = fatal(CONNECTION_FAILURE, "pgbearer: the connection to the server was lost")
            self.local.write(self._farewell or lost)
        self.local.close()
        self._await_end(self.local, self._desk.house.settings.linger_seconds)

    def _await_end(self, wire: Wire, seconds: float) -> None:
        """Give `wire`, which is closing, so long to send what it still has."""
        if self._closing is None and not wire.lost:
            self._closing = asyncio.get_running_loop().call_later(seconds, wire.abort)
