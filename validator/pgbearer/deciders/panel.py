"""All deciders of one generation of the settings, asked side by side."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pgbearer.audit import Inquiry
from pgbearer.deciders.decider import Question
from pgbearer.deciders.seat import Seat, SeatStatus
from pgbearer.tokens import Revocations

__all__ = ["Panel"]


class Panel:
    """Answers for all deciders that rules ask. For one event loop; a reload makes another one, which remembers nothing.

    Args:
        seats: by decider's name.
        limit: seconds for all questions of a login, which are asked at the same time.
    """

    def __init__(self, seats: Mapping[str, Seat], *, limit: float) -> None:
        self._seats = seats
        self._limit = limit

    async def ask(self, names: Sequence[str], question: Question) -> tuple[Inquiry, ...]:
        """What each of the deciders says to the question; never raises for what one of them does.

        All are waited for, also where one answer would be enough: what a login comes to must not hang on who was
        faster.

        Args:
            names: under ``deciders:``.
            question: with the person's token, which is given on only to a decider whose protocol it is.
        """
        seats = [self._seats[name] for name in names]
        bare = replace(question, token=None)
        asking = [seat.ask(question if seat.needs_token else bare, limit=self._limit) for seat in seats]
        if len(asking) == 1:
            return (await asking[0],)
        return tuple(await asyncio.gather(*asking))

    def forget_revoked(self, revocations: Revocations, now: float) -> None:
        """Forget answers about tokens that these revoke.

        Args:
            revocations: those that are new.
            now: epoch seconds.
        """
        for seat in self._seats.values():
            seat.memory.forget_revoked(revocations, now)

    def status(self) -> tuple[SeatStatus, ...]:
        """How every decider stands."""
        return tuple(seat.status() for seat in self._seats.values())

    async def aclose(self) -> None:
        """Let the questions under way end, which their limits bound, and close the connections."""
        await asyncio.gather(*(seat.aclose() for seat in self._seats.values()))
