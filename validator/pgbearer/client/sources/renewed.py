"""One token for many connections: in memory, renewed ahead of its end by one caller for all."""

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from pgbearer.client.sources.kept import Kept
from pgbearer.client.sources.single_flight import SingleFlight
from pgbearer.client.token import AccessToken
from pgbearer.errors import PgbearerError, UnreachableError

__all__ = ["Renewed"]

_chance: Final = random.SystemRandom().random  # forked workers must not all draw the same


@dataclass(slots=True)
class Renewed:
    """Keeps the token that it was given last, and asks for the next when that is due (`Kept`).

    Whoever is asked not answering is no fault as long as the token is good: it is used until its end, and they are
    asked again in a while. A refusal is one at once, and the old token is forgotten. Safe in threads and tasks.

    Args:
        wall: seconds since the epoch.
        chance: from 0 to 1, at each renewal.
    """

    wall: Callable[[], float] = time.time
    chance: Callable[[], float] = _chance
    _kept: Kept | None = None
    _flight: SingleFlight[AccessToken] = field(default_factory=SingleFlight)

    def token(self, fetch: Callable[[], AccessToken]) -> AccessToken:
        """The kept token, or what `fetch` returns. Raises what that raises, if nothing good is kept."""
        return self._young() or self._flight.run(lambda: self._renew(fetch))

    async def token_async(self, fetch: Callable[[], Awaitable[AccessToken]]) -> AccessToken:
        """As `token`, in a task."""
        return self._young() or await self._flight.run_async(lambda: self._renew_async(fetch))

    def _young(self) -> AccessToken | None:
        kept = self._kept
        return kept.token if kept is not None and kept.young(self.wall()) else None

    def _renew(self, fetch: Callable[[], AccessToken]) -> AccessToken:
        young = self._young()  # another may just have landed
        if young is not None:
            return young
        asked = self.wall()
        try:
            return self._keep(fetch(), asked)
        except PgbearerError as error:
            return self._after(error)

    async def _renew_async(self, fetch: Callable[[], Awaitable[AccessToken]]) -> AccessToken:
        young = self._young()
        if young is not None:
            return young
        asked = self.wall()
        try:
            return self._keep(await fetch(), asked)
        except PgbearerError as error:
            return self._after(error)

    def _keep(self, token: AccessToken, asked: float) -> AccessToken:
        self._kept = Kept.of(token, asked, self.chance())
        return token

    def _after(self, error: PgbearerError) -> AccessToken:
        """The token that is still good although no other was to be had; else the error, raised."""
        now, kept = self.wall(), self._kept
        if isinstance(error, UnreachableError) and kept is not None and kept.still_good(now):
            self._kept = kept.after_failure(now)
            return kept.token
        self._kept = None
        raise error
