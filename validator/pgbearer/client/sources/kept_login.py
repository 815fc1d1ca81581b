"""A login that is kept: read, renewed, replaced and ended under the one lock that all processes share."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from pgbearer.client.grant import Grant
from pgbearer.client.login.logout import logout
from pgbearer.client.login.refresh import refresh
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import Steps, run_async
from pgbearer.client.notice import Notice
from pgbearer.client.sources.ask import Ask
from pgbearer.client.store import StoreError, StoreLock, TokenKey, TokenStore
from pgbearer.http import Fetcher

__all__ = ["KeptLogin"]

_LOCK_PATIENCE: Final = 900.0  # seconds: whoever has the lock may be asking a person
_SAID_AFTER: Final = 1.0  # seconds: a renewal is faster
_FIRST_LOOK, _LONGEST_PAUSE = 0.02, 0.5  # seconds between two looks at the lock


class KeptLogin:
    """One login of one person, and what can be done about it. For one task at a time.

    Args:
        key: what it is kept under.
        store: gives the store when it is first needed: looking for a keyring may block.
        ca_file: PEM certificates to trust for the issuer instead of the system's.
        timeout: seconds for one exchange with the issuer.
        notice: told what a person should know.
    """

    def __init__(
        self,
        key: TokenKey,
        store: Callable[[], TokenStore],
        *,
        ca_file: Path | None,
        timeout: float,
        notice: Notice,
    ) -> None:
        self.key = key
        self._open = store
        self._store: TokenStore | None = None
        self._ca_file = ca_file
        self._timeout = timeout
        self._notice = notice
        self._stored: Grant | None = None
        self._unkept: Grant | None = None

    @property
    def store(self) -> TokenStore:
        """Where it is kept. May block at first, and raise StoreError."""
        if self._store is None:
            self._store = self._open()
        return self._store

    def load(self) -> Grant | None:
        """What is kept, or what should have been and could not, while nobody else has kept or ended anything since.

        Raises:
            StoreError: nothing can be read.
        """
        try:
            stored = self.store.load(self.key)
        except StoreError:
            if self._unkept is None:
                raise
            return self._unkept
        if self._unkept is not None and _same(stored, self._stored):
            return self._unkept
        self._stored, self._unkept = stored, None
        return stored

    def try_lock(self) -> StoreLock | None:
        """The lock, if nobody has it now. Raises StoreError."""
        return self.store.try_lock(self.key)

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """With the lock of all processes; what was read before it was had may be out of date.

        Raises:
            StoreError: somebody had it for a quarter of an hour.
        """
        lock = await self._lock()
        try:
            yield
        finally:
            lock.release()

    async def renew(self, grant: Grant) -> Grant:
        """Renew `grant`, and keep what comes; to be called with the lock held. Raises what `refresh` raises.

        A refresh token that was sent is spent, so what came for it is kept even if the caller is cancelled meanwhile.
        """
        renewal = asyncio.ensure_future(self._renew(grant))
        try:
            return await asyncio.shield(renewal)
        except asyncio.CancelledError:
            await asyncio.wait({renewal})
            renewal.cancelled() or renewal.exception()  # looked at, so that asyncio does not log it
            raise

    def forget_renewal(self, grant: Grant) -> Grant:
        """Keep `grant` without what can renew it no more; to be called with the lock held."""
        ended = replace(grant, refresh=None, refresh_expires_at=None)
        self._keep(ended)
        return ended

    async def replace(self, ask: Ask) -> Grant:
        """Ask the person, and keep what comes; to be called with the lock held.

        Raises:
            StoreError: it cannot be kept; the login is then of no use to anybody.
            PgbearerError: what `ask` raises.
        """
        async with self._fetcher() as fetcher:
            grant = await ask(fetcher)
        self.store.save(self.key, grant)
        self._unkept = None
        return grant

    async def end(self) -> bool:
        """Forget the login, and end it at the issuer; to be called with the lock held. False if there was none.

        It is forgotten first, whatever the issuer then says. Raises what `logout` raises.
        """
        grant = self.load()
        self.store.remove(self.key)
        self._unkept = None
        if grant is None:
            return False
        await self._run(logout(self._request(grant), grant))
        return True

    async def _renew(self, grant: Grant) -> Grant:
        renewed = await self._run_for_grant(refresh(self._request(grant), grant, wall=time.time))
        self._keep(renewed)
        return renewed

    def _keep(self, grant: Grant) -> None:
        """Keep `grant`, or at least hold it: what is in the store still is of no use to anybody."""
        try:
            self.store.save(self.key, grant)
            self._unkept = None
        except StoreError as error:
            self._unkept = grant
            self._notice(f"the renewed login cannot be kept, other commands will ask you to log in: {error.what}")

    async def _run_for_grant(self, steps: Steps[Grant]) -> Grant:
        async with self._fetcher() as fetcher:
            return await run_async(steps, fetcher)

    async def _run(self, steps: Steps[None]) -> None:
        async with self._fetcher() as fetcher:
            await run_async(steps, fetcher)

    def _request(self, grant: Grant) -> LoginRequest:
        return LoginRequest(self.key.issuer, grant.client_id, self.key.scope)

    @asynccontextmanager
    async def _fetcher(self) -> AsyncIterator[Fetcher]:
        fetcher = Fetcher(self._ca_file, self._timeout)
        try:
            yield fetcher
        finally:
            await fetcher.aclose()

    async def _lock(self) -> StoreLock:
        began, pause, said = time.monotonic(), _FIRST_LOOK, False
        while (lock := self.try_lock()) is None:
            waited = time.monotonic() - began
            if waited > _LOCK_PATIENCE:
                raise StoreError(
                    f"another process has been getting a token of {self.key.issuer} for {waited / 60:.0f} minutes",
                    hint="End that process, and try again.",
                )
            if not said and waited > _SAID_AFTER:
                said = True
                self._notice(f"waiting for another process, which is getting a token of {self.key.issuer}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        return lock


def _same(one: Grant | None, other: Grant | None) -> bool:
    """Whether both are one login at one moment: each has a token of its own."""
    if one is None or other is None:
        return one is other
    return one.access.reveal() == other.access.reveal()
