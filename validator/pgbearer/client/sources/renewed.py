"""One token for many connections: in memory, renewed ahead of its end by one caller for all."""

import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from pgbearer.client.sources.flight import Flights
from pgbearer.client.sources.kept import Kept
from pgbearer.client.token import AccessToken
from pgbearer.errors import PgbearerError, UnreachableError

__all__ = ["Renewed"]

_chance: Final = random.SystemRandom().random  # forked workers must not all draw the same


class Renewed:
    """Keeps the token that it was given last, and asks for the next when that is due (`Kept`).

    Whoever is asked not answering is no fault as long as the token is good: it is used until its end, and they are
    asked again in a while. A refusal is one at once, and the old token is forgotten. Safe in threads and tasks; who is
    cancelled leaves the others what they wait for.

    Args:
        fetch: asks for a token.
        wall: seconds since the epoch.
        chance: from 0 to 1, at each renewal.
    """

    def __init__(
        self,
        fetch: Callable[[], Coroutine[Any, Any, AccessToken]],
        *,
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] = _chance,
    ) -> None:
        self._fetch = fetch
        self._wall = wall
        self._chance = chance
        self._kept: Kept | None = None
        self._flights = Flights(self._renew)

    def token(self) -> AccessToken:
        """The kept token, or what `fetch` returns. Raises what that raises, if nothing good is kept."""
        return self._young() or self._flights.wait()

    async def token_async(self) -> AccessToken:
        """As `token`, without blocking the event loop."""
        return self._young() or await self._flights.wait_async()

    def _young(self) -> AccessToken | None:
        kept = self._kept
        return kept.token if kept is not None and kept.young(self._wall()) else None

    async def _renew(self) -> AccessToken:
        young = self._young()  # another may just have landed
        if young is not None:
            return young
        asked = self._wall()
        try:
            token = await self._fetch()
        except PgbearerError as error:
            return self._after(error)
        self._kept = Kept.of(token, asked, self._chance())
        return token

    def _after(self, error: PgbearerError) -> AccessToken:
        """The token that is still good although no other was to be had; else the error, raised."""
        now, kept = self._wall(), self._kept
        if isinstance(error, UnreachableError) and kept is not None and kept.still_good(now):
            self._kept = kept.after_failure(now)
            return kept.token
        self._kept = None
        raise error
