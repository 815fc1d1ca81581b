"""One decider and all that lies around it: what it said before, its breaker, its turns, its limit of time.

Whatever happens here is advice of a kind, never an exception, and never a yes that the decider did not say.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from pgbearer.audit import Inquiry, Source
from pgbearer.deciders.breaker import Breaker, Pass
from pgbearer.deciders.decider import Decider, Opinion, Question, Yes
from pgbearer.deciders.fault import DeciderError, DeciderFault, DeciderMisconfigured, QuestionUnaskable
from pgbearer.deciders.memory import Keys, Memory
from pgbearer.deciders.replies import shown
from pgbearer.errors import whereabouts
from pgbearer.policy import Answer
from pgbearer.tokens.steady import steady_seconds

__all__ = ["Seat", "SeatStatus"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatStatus:
    """How a decider stands, for /readyz and metrics. It never makes the service unready."""

    name: str
    breaker: str
    asking: int
    """Questions under way or waiting for their turn."""
    last_fault: str | None
    """What was wrong when it last gave no opinion; None once it has given one again."""


class _NoTurnError(Exception):
    """Too many questions at a time; nothing was asked."""


class Seat:
    """Asks one decider. For one event loop.

    Args:
        name: under ``deciders:``.
        decider: who is asked.
        breaker: counts its faults.
        memory: what it said.
        timeout: seconds that the decider has for one question. Waiting for a turn does not count, so that who keeps it
            busy cannot make it look away.
        concurrency: questions at a time; one identity has at most half of the turns.
        close: called once nothing is asked any more.
        steady: a clock that nobody can set, in seconds.
    """

    def __init__(
        self,
        name: str,
        decider: Decider,
        *,
        breaker: Breaker,
        memory: Memory,
        timeout: float,
        concurrency: int,
        close: Callable[[], Awaitable[None]] | None = None,
        steady: Callable[[], float] = steady_seconds,
    ) -> None:
        self.name = name
        self.memory = memory
        self.needs_token: Final = decider.needs_token
        self._decider = decider
        self._breaker = breaker
        self._timeout = timeout
        self._turns = asyncio.Semaphore(concurrency)
        self._turns_of_one = max(1, concurrency // 2)
        self._asking: Counter[str] = Counter()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._close = close
        self._steady = steady
        self._last_fault: str | None = None

    def status(self) -> SeatStatus:
        """How it stands."""
        return SeatStatus(
            name=self.name,
            breaker=self._breaker.state,
            asking=self._asking.total(),
            last_fault=self._last_fault,
        )

    async def ask(self, question: Question, *, limit: float) -> Inquiry:
        """What it says, or why it says nothing; after `limit` seconds at the latest.

        A turn is waited for as long as `limit` leaves the decider its own time.
        """
        began = self._steady()
        keys = self.memory.keys_of(question)
        breaker = self._breaker.state
        if keys and (known := self.memory.recall(keys)) is not None:
            return self._told(_said(known), known.reason, began, "cache", breaker)
        given = self._breaker.admit(question.verified.identity)
        if given is None:
            return self._unavailable(keys, f"left alone, last fault: {self._last_fault}", began, "breaker", breaker)
        try:
            opinion = await self._opinion(question, given, keys, limit)
        except _NoTurnError as error:
            # No fault of the decider's: who could bring one about would be let in by what counts in place of an answer.
            return self._told(Answer.UNKNOWN, str(error), began, "limit", breaker)
        except QuestionUnaskable as error:
            return self._told(Answer.UNASKABLE, error.what, began, "decider", breaker)
        except DeciderFault as error:
            return self._unavailable(keys, error.what, began, "decider", breaker)
        except DeciderError as error:
            return self._told(Answer.MISCONFIGURED, error.what, began, "decider", breaker)
        return self._told(_said(opinion), opinion.reason, began, "decider", breaker)

    async def aclose(self) -> None:
        """Let what is being asked end, which takes no longer than its limits, and close; nothing is asked any more."""
        self._closed = True
        await self._idle.wait()
        if self._close is not None:
            await self._close()

    async def _opinion(self, question: Question, given: Pass, keys: Keys | None, limit: float) -> Opinion:
        """One question, its pass given back whatever happens.

        Raises:
            DeciderError, _NoTurnError: there is no opinion.
        """
        settled = False
        epoch = self.memory.epoch
        try:
            seconds = min(self._timeout, limit)
            async with self._turn(given.identity, limit - seconds):
                opinion = await self._asked(question, seconds)
            self._breaker.succeeded(given)
            settled = True
        except DeciderFault as error:
            self._breaker.failed(given, connecting=error.connecting)
            settled = True
            self._noticed(error)
            raise
        except DeciderMisconfigured as error:
            self._noticed(error)
            raise
        finally:
            if not settled:
                self._breaker.released(given)
        self._last_fault = None
        if keys:
            self.memory.remember(keys, question, opinion, epoch=epoch)
        return opinion

    @asynccontextmanager
    async def _turn(self, identity: str, seconds: float) -> AsyncIterator[None]:
        """A turn, waited for so long at most."""
        if self._closed:
            raise _NoTurnError("the settings were loaded anew meanwhile")
        if self._asking[identity] >= self._turns_of_one:
            raise _NoTurnError(f"{self._turns_of_one} questions about this identity are under way")
        self._asking[identity] += 1
        self._idle.clear()
        try:
            try:
                async with asyncio.timeout(seconds):
                    await self._turns.acquire()  # returns at once if one is free, even in no time at all
            except TimeoutError:
                raise _NoTurnError(f"no turn to ask within {seconds:g} s") from None
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._asking[identity] -= 1
            if not self._asking[identity]:
                del self._asking[identity]
            if not self._asking:
                self._idle.set()

    async def _asked(self, question: Question, seconds: float) -> Opinion:
        try:
            async with asyncio.timeout(seconds):
                return await self._decider.ask(question)
        except TimeoutError:
            raise DeciderFault(f"no answer within {seconds:g} s") from None
        except DeciderError:
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence: what nobody foresaw is seen, and no yes
            _log.error("asking the decider %s failed: %s", self.name, whereabouts(error))
            raise DeciderMisconfigured(f"an unforeseen error ({type(error).__name__})") from None

    def _noticed(self, error: DeciderError) -> None:
        told = f"{error.where}: {error.what}" if error.where else error.what
        if self._last_fault is None:  # once, not for every login
            _log.warning("decider %s: %s", self.name, shown(told))
        self._last_fault = shown(told)

    def _unavailable(self, keys: Keys | None, why: str, began: float, source: Source, breaker: str) -> Inquiry:
        age = self.memory.last_yes_age(keys) if keys else None
        return self._told(Answer.UNAVAILABLE, why, began, source, breaker, age)

    def _told(
        self, answer: Answer, reason: str | None, began: float, source: Source, breaker: str, age: float | None = None
    ) -> Inquiry:
        return Inquiry(
            decider=self.name,
            answer=answer.value,
            reason=shown(reason),
            seconds=self._steady() - began,
            source=source,
            breaker=breaker,
            last_yes_age=age,
        )


def _said(opinion: Opinion) -> Answer:
    return Answer.YES if isinstance(opinion, Yes) else Answer.NO
