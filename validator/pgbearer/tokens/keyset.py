"""One issuer's keys, kept fresh on a schedule of our own; a login waits for the network only if its kid is new.

Keycloak marks its keys ``no-cache`` and its metadata ``no-store``: taken literally every login would fetch both, and
an unreachable issuer would stop every login. So cache headers are not looked at.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pgbearer.config.settings import Issuer
from pgbearer.errors import UnreachableError, whereabouts
from pgbearer.tokens.denied import Denied, printable
from pgbearer.tokens.discovery import Getter
from pgbearer.tokens.keys import Key, KeyDocument
from pgbearer.tokens.sources import published_keys, source_of
from pgbearer.tokens.steady import steady_seconds
from pgbearer.wire import Reason

__all__ = ["KeySet", "KeyStatus"]

REFETCH_INTERVAL: Final = 10.0
"""Seconds between two fetches that unknown kids may cause, however many logins bring them."""
REFETCH_WAIT: Final = 2.0
"""Seconds that a login with an unknown kid waits for such a fetch; the fetch itself goes on."""
_MOST_NAMED: Final = 8
"""So many keys that are not used are named in the log, at most."""
RETRY_FIRST: Final = 1.0
RETRY_MOST: Final = 30.0
"""Seconds from a failed fetch to the next try: doubled each time, up to this."""

LONGEST_PAUSE: Final = 15.0
"""Seconds after which the schedule looks at the clock again: event loops do not count the time a machine sleeps."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStatus:
    """How an issuer's keys stand, for /readyz, metrics and people."""

    issuer: str
    ready: bool
    """Some key is usable, and the set is not stale."""
    keys: tuple[str, ...]
    """Usable key ids, those that are `denied` left out."""
    unusable: tuple[tuple[str, str], ...]
    """Key ids that are published but not used, and why."""
    age: float | None
    """Seconds since the last successful fetch began; None if there was none."""
    stale: bool
    """The last success is longer ago than ``keys.max_stale``."""
    generation: int
    """Grows with every change of the keys."""
    fetches: int
    failures: int
    """Fetches that failed, of `fetches`; both since this set was made."""
    last_error: str | None
    """Why the last fetch failed; None if it succeeded."""
    denied: tuple[str, ...] = ()
    """Key ids that are published and could be used, but are in ``keys.deny`` or revoked."""

    def less(self, revoked: Callable[[str], object]) -> "KeyStatus":
        """The same without the keys whose id is `revoked`."""
        gone = tuple(kid for kid in self.keys if revoked(kid))
        if not gone:
            return self
        keys = tuple(kid for kid in self.keys if kid not in gone)
        return replace(self, keys=keys, ready=self.ready and bool(keys), denied=tuple(sorted((*self.denied, *gone))))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An issuer's last good answer."""

    document: KeyDocument
    fetched: float
    """When its fetch *began*, on the steady clock: what is revoked during the fetch counts as not seen."""
    generation: int


@dataclass(slots=True)
class _Tally:
    fetches: int = 0
    failures: int = 0
    in_a_row: int = 0
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Where time comes from; tests bring their own."""

    steady: Callable[[], float] = steady_seconds
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = field(default=random.random)
    """Between 0 and 1: spreads the fetches of many replicas."""


class KeySet:
    """The keys of one issuer. For one event loop; `find` and `status` do no I/O.

    Args:
        name: the issuer's name in pgbearer.yaml.
        settings: of the issuer; `keys` holds the schedule and the denied kids.
        fetcher: what it fetches with; `aclose` closes it.
        inherit: the set to take over what is known from, after a reload; ignored if it is of another source.
        timing: clocks, for tests.
    """

    def __init__(
        self,
        name: str,
        settings: Issuer,
        fetcher: Getter,
        *,
        inherit: "KeySet | None" = None,
        timing: Timing | None = None,
    ) -> None:
        self._name = name
        self._settings = settings
        self._fetcher = fetcher
        self._timing = timing or Timing()
        self._denied = frozenset(settings.keys.deny)
        self._snapshot: Snapshot | None = None
        self._tally = _Tally()
        self._flight: asyncio.Task[None] | None = None
        self._last_refetch: float | None = None
        self._keeper: asyncio.Task[None] | None = None
        if inherit is not None:
            self._snapshot = inherit.snapshot_for(settings)

    async def start(self) -> None:
        """Fetch the keys, unless they were inherited, and keep them fresh from now on.

        A fault is no error here: `status` tells it, logins are denied, and fetching goes on.
        """
        if self._snapshot is None:
            await self.refresh()
        self._keeper = asyncio.create_task(self._keep_fresh(), name=f"keys of {self._name}")
        self._keeper.add_done_callback(self._keeper_ended)

    async def aclose(self) -> None:
        """Stop fetching, and close the fetcher."""
        tasks = [task for task in (self._keeper, self._flight) if task is not None and not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._fetcher.aclose()

    async def refresh(self) -> None:
        """Fetch metadata and keys now, or join the fetch under way. Never raises for a fault of the issuer's."""
        await asyncio.shield(self._fly())  # a login that goes away must not take the others' fetch with it

    def find(self, kid: str) -> Key | None:
        """The key with this kid, or None if none is known; no I/O.

        Raises:
            Denied: key_denied, keys_unavailable, keys_stale or key_unsuitable.
        """
        if kid in self._denied:
            raise Denied(Reason.KEY_DENIED, f"kid {kid!r} is in keys.deny")
        if self._snapshot is None:
            raise Denied(Reason.KEYS_UNAVAILABLE, self._tally.last_error or "not fetched yet")
        if self._is_stale(self._snapshot):
            raise Denied(Reason.KEYS_STALE, self._tally.last_error or "not refreshed in time")
        key = self._snapshot.document.usable.get(kid)
        if key is None and kid in self._snapshot.document.unusable:
            raise Denied(Reason.KEY_UNSUITABLE, f"kid {kid!r}: {self._snapshot.document.unusable[kid]}")
        return key

    async def key(self, kid: object, algorithm: object) -> Key:
        """The key with this kid, for this algorithm; fetches at most once in a while if the kid is new.

        Args:
            kid: as the token's header has it; unverified.
            algorithm: as the token's header has it; unverified.

        Raises:
            Denied: as `find`; key_unknown; algorithm_not_allowed if the key is not for that algorithm.
        """
        if not isinstance(kid, str) or not kid:
            raise Denied(Reason.KEY_UNKNOWN, "the header names no kid")
        key = self.find(kid)
        if key is None:
            await self._refetch()
            key = self.find(kid)
        if key is None:
            raise Denied(Reason.KEY_UNKNOWN, f"kid {kid!r}")
        if not isinstance(algorithm, str) or algorithm not in key.algorithms:
            raise Denied(Reason.ALGORITHM_NOT_ALLOWED, f"alg {algorithm!r} does not fit the key {kid!r}")
        return key

    def snapshot_for(self, settings: Issuer) -> "Snapshot | None":
        """What is known here, if a set with `settings` would fetch it from the same source; for `inherit`."""
        return self._snapshot if source_of(self._settings) == source_of(settings) else None

    @property
    def age(self) -> float | None:
        """Seconds since the last successful fetch began; None if there was none."""
        return self._timing.steady() - self._snapshot.fetched if self._snapshot else None

    def status(self) -> KeyStatus:
        """How the keys stand now; what is revoked is not known here."""
        snapshot = self._snapshot
        document = snapshot.document if snapshot else KeyDocument()
        keys = tuple(sorted(document.usable.keys() - self._denied))
        stale = snapshot is not None and self._is_stale(snapshot)
        return KeyStatus(
            issuer=self._name,
            ready=bool(keys) and not stale,
            keys=keys,
            unusable=tuple(sorted(document.unusable.items())),
            age=self.age,
            stale=stale,
            generation=snapshot.generation if snapshot else 0,
            fetches=self._tally.fetches,
            failures=self._tally.failures,
            last_error=self._tally.last_error,
            denied=tuple(sorted(document.usable.keys() & self._denied)),
        )

    def _is_stale(self, snapshot: Snapshot) -> bool:
        return self._timing.steady() - snapshot.fetched > self._settings.keys.max_stale

    def _fly(self) -> asyncio.Task[None]:
        """The one fetch under way; a new one if there is none."""
        if self._flight is None or self._flight.done():
            self._flight = asyncio.create_task(self._fetch(), name=f"fetch keys of {self._name}")
        return self._flight

    async def _refetch(self) -> None:
        """Look for a new key, if the last such look is long enough ago; wait for the answer only so long."""
        now = self._timing.steady()
        if self._last_refetch is not None and now - self._last_refetch < REFETCH_INTERVAL:
            if self._flight is None or self._flight.done():
                return
        else:
            self._last_refetch = now
        await asyncio.wait({self._fly()}, timeout=REFETCH_WAIT)

    async def _fetch(self) -> None:
        began = self._timing.steady()
        self._tally.fetches += 1
        try:
            document = await published_keys(self._settings, self._fetcher)
        except UnreachableError as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - who stops fetching ends all logins, once the keys are stale
            _log.error("fetching the keys of issuer %s failed: %s", self._name, whereabouts(error))
            self._failed(UnreachableError(f"an unforeseen error, {type(error).__name__}"))
        else:
            self._succeeded(document, began)

    def _failed(self, error: UnreachableError) -> None:
        self._tally.failures += 1
        self._tally.in_a_row += 1
        self._tally.last_error = printable(f"{error.where}: {error.what}" if error.where else error.what)
        _log.warning("keys of issuer %s: %s", self._name, self._tally.last_error)

    def _succeeded(self, document: KeyDocument, began: float) -> None:
        """Take the new document as it is: keys it no longer has are gone at once."""
        before = self._snapshot
        self._tally.in_a_row = 0
        self._tally.last_error = None
        if before is not None and before.document == document:
            self._snapshot = Snapshot(before.document, began, before.generation)
            return
        known = before.document.usable if before else {}
        kept = {kid: known[kid] if known.get(kid) == key else key for kid, key in document.usable.items()}
        generation = before.generation + 1 if before else 1
        self._snapshot = Snapshot(KeyDocument(kept, document.unusable), began, generation)
        _log.log(
            logging.INFO if kept else logging.WARNING,
            "keys of issuer %s: %d to verify with%s",
            self._name,
            len(kept),
            _passed_over(document.unusable),
        )

    async def _keep_fresh(self) -> None:
        """Refresh ahead of time, early by up to a fifth; after a failure sooner, ever less often."""
        while True:
            due = self._due()
            while (left := due - self._timing.steady()) > 0:
                await self._timing.pause(min(left, LONGEST_PAUSE))
            await self.refresh()

    def _due(self) -> float:
        """When to fetch next, on the steady clock; inherited keys are as old as they are."""
        delay = float(max(self._settings.keys.refresh, RETRY_FIRST))
        since = self._timing.steady()
        if self._tally.in_a_row:
            delay = min(delay, RETRY_MOST, RETRY_FIRST * 2 ** min(self._tally.in_a_row - 1, 10))
        elif self._snapshot is not None:
            since = self._snapshot.fetched
        return since + delay * (1 - 0.2 * self._timing.jitter())

    def _keeper_ended(self, task: asyncio.Task[None]) -> None:
        """Say so if refreshing died of a bug: the keys will go stale, and then logins are denied."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._tally.last_error = f"refreshing stopped: {type(error).__name__}"
            _log.error("keys of issuer %s are no longer refreshed", self._name, exc_info=error)


def _passed_over(unusable: Mapping[str, str]) -> str:
    """Which published keys are not used and why, for the log; an issuer chooses the kids, so they are escaped."""
    if not unusable:
        return ""
    named = [f"kid {printable(repr(kid))} ({why})" for kid, why in sorted(unusable.items())[:_MOST_NAMED]]
    more = [f"{len(unusable) - _MOST_NAMED} more"] if len(unusable) > _MOST_NAMED else []
    return f", {len(unusable)} passed over: {', '.join([*named, *more])}"
