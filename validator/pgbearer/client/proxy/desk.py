"""What clients share: of one listener the upstream and its counting, of the whole proxy the bounds and the keys."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pgbearer.client.proxy.cancel import CancelKeys, Target
from pgbearer.client.proxy.channel import open_channel
from pgbearer.client.proxy.dial import Dialer
from pgbearer.client.proxy.guests import Guest, Guests
from pgbearer.client.proxy.messages import cancel_packet
from pgbearer.client.proxy.scram import ScramVerifier
from pgbearer.client.proxy.settings import ProxySettings
from pgbearer.client.proxy.startup import Cancel
from pgbearer.client.proxy.tally import Tally
from pgbearer.client.proxy.upstream import Route
from pgbearer.client.proxy.wire import Wire, Workspace
from pgbearer.errors import PgbearerError

__all__ = ["Desk", "House"]

_CANCEL_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class House:
    """What all clients of a proxy share. Of one event loop."""

    settings: ProxySettings
    guests: Guests
    space: Workspace
    keys: CancelKeys = field(default_factory=CancelKeys)
    cancelling: set["asyncio.Task[None]"] = field(default_factory=set)
    """Cancel requests of the proxy's own that are under way."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the clients of one listener turn to. Of one event loop."""

    house: House
    dialer: Dialer
    verifier: ScramVerifier | None
    """Of the secret that clients have to prove; None where the kernel says who they are."""
    tally: Tally

    @property
    def route(self) -> Route:
        """How to reach the upstream."""
        return self.dialer.route

    @contextlib.contextmanager
    def connecting(self) -> Iterator[None]:
        """A client waits for a token or the server for as long as the block runs."""
        self.tally.connecting += 1
        try:
            yield
        finally:
            self.tally.connecting -= 1

    def logged_in(self) -> None:
        """A client got in."""
        self.tally.logins += 1
        self.tally.connections += 1

    def logged_out(self) -> None:
        """It is gone."""
        self.tally.connections -= 1

    def refuse(self, why: str) -> None:
        """A client could not be logged in; `why` holds no secret."""
        _log.warning("%s: a client was refused: %s", self.route.upstream.name, why)
        self.tally.refuse(why)

    def has_said(self, guest: Guest) -> None:
        """A client has said what it wants, or will never."""
        self.house.guests.has_said(guest)

    async def cancel(self, asked: Cancel, uid: int | None) -> None:
        """Pass a cancel request on, to the very address where the query runs and through as safe a channel.

        A key that opens nothing is ignored, as a server ignores it; so is a server that cannot be reached.
        """
        target = self.house.keys.target(asked, uid)
        if target is not None:
            await self._cancel(target)

    def cancel_soon(self, target: Target) -> None:
        """Let the server stop what `target` runs, in a task of its own."""
        task = asyncio.get_running_loop().create_task(self._cancel(target))
        self.house.cancelling.add(task)
        task.add_done_callback(self.house.cancelling.discard)

    async def _cancel(self, target: Target) -> None:
        try:
            async with asyncio.timeout(_CANCEL_SECONDS):
                await _send_cancel(target, self.house.space)
        except (PgbearerError, TimeoutError) as error:
            self.tally.last_error = f"a cancel request was lost: {getattr(error, 'what', 'time-out')}"


async def _send_cancel(target: Target, space: Workspace) -> None:
    async with open_channel(target.route, target.address, _nobody, space) as wire:
        wire.write(cancel_packet(target.pid, target.key))
        await wire.byte()  # none comes: the server closes when it has sent the signal
        wire.close()


def _nobody(_wire: Wire) -> None:
    """Nobody waits for the end of it."""
