"""The proxy itself: opens its listeners, serves until it is told to stop, and says how it is."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pgbearer.client.connection.known import KnownServers
from pgbearer.client.proxy.desk import Desk, House
from pgbearer.client.proxy.dial import Dialer
from pgbearer.client.proxy.guests import Guests
from pgbearer.client.proxy.listen import Listen, Listening, Place, open_place
from pgbearer.client.proxy.passfile import passfile_line, remove_passfile, write_passfile
from pgbearer.client.proxy.reception import receive
from pgbearer.client.proxy.refusal import TERMINATED
from pgbearer.client.proxy.settings import ProxySettings
from pgbearer.client.proxy.status import ProxyStatus, UpstreamStatus
from pgbearer.client.proxy.tally import Tally
from pgbearer.client.proxy.upstream import Route, Upstream, route_of
from pgbearer.client.proxy.wire import Workspace
from pgbearer.errors import UsageError

__all__ = ["Proxy"]

_SWEEP_SECONDS: Final = 1.0
_LAST_SECONDS: Final = 5.0  # for clients that were ended to go


@dataclass(slots=True)
class _Served:
    """An upstream with all that is open for it."""

    route: Route
    tally: Tally
    listening: list[Listening]


class Proxy:
    """Logs clients in at upstreams with tokens, and relays. Use it with ``async with``; of one event loop.

    Within the block it serves. At its end it drains: see `drain`.

    Args:
        upstreams: each with the places where its clients come in.
        settings: bounds; the defaults if None.
    """

    def __init__(
        self, upstreams: Sequence[tuple[Upstream, Sequence[Place]]], settings: ProxySettings | None = None
    ) -> None:
        self._wanted = upstreams
        self._settings = settings or ProxySettings()
        self._served: list[_Served] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._passfiles: set[Path] = set()
        self._draining = False
        self._started_at = time.time()

    async def __aenter__(self) -> Self:
        """Begin to listen.

        Raises:
            UsageError: an upstream or a place is not usable; then nothing is left open.
            UnsafeServerError: an upstream insists on a channel that a token may not go through.
        """
        loop = asyncio.get_running_loop()
        house = House(self._settings, Guests(self._settings.most_unfinished), Workspace(loop.time))
        self._guests, self._cancelling = house.guests, house.cancelling
        try:
            desks = self._open(house)
            self._write_passfiles()
        except BaseException:
            self._close()
            raise
        self._tasks = [loop.create_task(receive(listening, desk)) for listening, desk in desks]
        self._tasks.append(loop.create_task(self._sweep(loop.time)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.drain()

    async def drain(self, seconds: float | None = None) -> None:
        """Take no more clients, let those that are there finish, and end those that do not (SQLSTATE 57P01).

        Args:
            seconds: to wait for clients to end by themselves; ``drain_seconds`` of the settings if None.

        Cancelling it ends the wait, not the clients. A second call waits with the first.
        """
        self._draining = True
        await self._stop()
        self._close()
        try:
            async with asyncio.timeout(self._settings.drain_seconds if seconds is None else seconds):
                await self._guests.none_left()
        except TimeoutError:
            await self._end_all()

    def status(self) -> ProxyStatus:
        """How it is at this moment; no token is in it."""
        return ProxyStatus(
            self._started_at,
            self._draining,
            self._guests.unfinished,
            self._guests.dropped,
            tuple(_status(served) for served in self._served),
        )

    def _open(self, house: House) -> list[tuple[Listening, Desk]]:
        desks = []
        for upstream, places in self._wanted:
            _check_places(upstream, places)
            served = _Served(route_of(upstream), Tally(), [])
            self._served.append(served)
            known = KnownServers(monotonic=house.space.clock)
            dialer = Dialer(served.route, known, house.space, self._settings.dial_seconds)
            for place in places:
                listening = open_place(place)
                served.listening.append(listening)
                desks.append((listening, Desk(house, dialer, listening.verifier, served.tally)))
        return desks

    def _write_passfiles(self) -> None:
        lines: dict[Path, list[str]] = {}
        for served in self._served:
            for listening in served.listening:
                if listening.passfile is not None and listening.secret is not None:
                    address = listening.where.rpartition(":")[0]
                    line = passfile_line(address, listening.port, served.route.pins, listening.secret)
                    lines.setdefault(listening.passfile, []).append(line)
        for file, of_file in lines.items():
            write_passfile(file, of_file)
            self._passfiles.add(file)

    async def _stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _close(self) -> None:
        for file in self._passfiles:  # before a successor, who waits for our sockets, can have written its own
            remove_passfile(file)
        self._passfiles.clear()
        for served in self._served:
            for listening in served.listening:
                listening.close()
            served.listening.clear()

    async def _end_all(self) -> None:
        for guest in self._guests.there:
            guest.end(TERMINATED, "pgbearer: the proxy is shutting down")
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                await self._guests.none_left()
        except TimeoutError:
            for guest in self._guests.there:
                guest.drop()
            await self._guests.none_left()
        await asyncio.gather(*self._cancelling)

    async def _sweep(self, clock: Callable[[], float]) -> None:
        """End what has been idle or there for too long."""
        idle, lifetime = self._settings.idle_seconds, self._settings.lifetime_seconds
        while idle is not None or lifetime is not None:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = clock()
            for guest in self._guests.there:
                if not guest.is_idle:
                    continue  # a query takes as long as it takes, and so does a person's login
                if idle is not None and now - guest.last_byte >= idle:
                    guest.retire("57P05", "pgbearer: terminating connection due to idle timeout")
                elif lifetime is not None and now - guest.began >= lifetime:
                    guest.retire(TERMINATED, "pgbearer: terminating connection at the end of its lifetime")


def _check_places(upstream: Upstream, places: Sequence[Place]) -> None:
    for place in places:
        if isinstance(place, Listen) and place.shared and upstream.admit is None:
            raise UsageError(
                "a socket that other users may reach needs to know whose tokens each of them has",
                where=upstream.name,
                hint="Name them as peers, or leave the socket private.",
            )


def _status(served: _Served) -> UpstreamStatus:
    tally = served.tally
    return UpstreamStatus(
        served.route.upstream.name,
        served.route.issuer,
        tuple(str(host) for host in served.route.hosts),
        tuple(listening.where for listening in served.listening),
        tally.connections,
        tally.connecting,
        tally.logins,
        tally.refused,
        tally.last_error,
        tally.last_error_at,
    )
