"""A person who logs in by device code."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pgbearer.client.grant import Grant
from pgbearer.client.login.device import device_login
from pgbearer.client.login.prompt import TerminalPrompt
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import DeviceCode, Steps, run, run_async
from pgbearer.client.store import MemoryStore, TokenKey, TokenStore
from pgbearer.client.token import AccessToken
from pgbearer.http import Fetcher, SyncFetcher

__all__ = ["DeviceSource"]

_MARGIN = 30.0  # seconds that a kept token must still have, so that it does not end on its way to the server


class DeviceSource:
    """Logs a person in by device code (RFC 8628) when no token in its store is good for another 30 s.

    Callers that come while a login is under way wait for it: one person is not asked twice. Safe in threads, and in the
    tasks of one event loop.

    Args:
        issuer: https URL of the authorization server, exactly as it names itself.
        client_id: a public client that may use the device authorization grant.
        scope: space-separated; None for the client's default scopes.
        ca_file: PEM certificates to trust for the issuer instead of the system's.
        show: puts the code before the person; a `TerminalPrompt` on stderr if None.
        store: where tokens are kept; memory if None.
        timeout: seconds for one exchange with the issuer.
    """

    def __init__(
        self,
        issuer: str,
        client_id: str,
        scope: str | None = None,
        *,
        ca_file: Path | None = None,
        show: Callable[[DeviceCode], None] | None = None,
        store: TokenStore | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._login = LoginRequest(issuer, client_id, scope)
        self._key = TokenKey(issuer, client_id, scope)
        self._ca_file = ca_file
        self._show = show or TerminalPrompt()
        self._store = store or MemoryStore()
        self._timeout = timeout
        self._held: AccessToken | None = None
        self._one_at_a_time = threading.Lock()
        self._one_at_a_time_async = asyncio.Lock()

    @property
    def issuer(self) -> str:
        """The issuer it logs in at."""
        return self._login.issuer

    @property
    def held(self) -> AccessToken | None:
        """The token that it gave last, or None; logs nobody in."""
        return self._held

    def token(self) -> AccessToken:
        """As `TokenSource.token`; raises what `device_login` raises."""
        with self._one_at_a_time:
            kept = self._kept()
            if kept is not None:
                return kept
            with SyncFetcher(self._ca_file, self._timeout) as fetcher:
                return self._keep(run(self._steps(), fetcher, self._show))

    async def token_async(self) -> AccessToken:
        """As `TokenSource.token_async`; raises what `device_login` raises."""
        async with self._one_at_a_time_async:
            kept = self._kept()
            if kept is not None:
                return kept
            fetcher = Fetcher(self._ca_file, self._timeout)
            try:
                return self._keep(await run_async(self._steps(), fetcher, self._show))
            finally:
                await fetcher.aclose()

    def _steps(self) -> Steps[Grant]:
        return device_login(self._login, monotonic=time.monotonic, wall=time.time)

    def _kept(self) -> AccessToken | None:
        kept = self._store.load(self._key)
        if kept is None or kept.access.expired(time.time(), margin=_MARGIN):
            return None
        self._held = kept.access
        return kept.access

    def _keep(self, grant: Grant) -> AccessToken:
        self._store.save(self._key, grant)
        self._held = grant.access
        return grant.access
