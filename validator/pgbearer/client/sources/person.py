"""A person who logs in once, and whose login is kept and renewed for as long as it lasts."""

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from pgbearer.client.grant import Grant
from pgbearer.client.login.metadata import check_issuer
from pgbearer.client.login.prompt import TerminalPrompt, somebody_is_there
from pgbearer.client.login.refusal import LoginEndedError, LoginRefusedError
from pgbearer.client.login.request import BROWSER_CLIENT, DEVICE_CLIENT, LoginRequest
from pgbearer.client.login.steps import DeviceCode
from pgbearer.client.notice import Notice, notice_on_stderr
from pgbearer.client.sources.ask import Ask, BrowserAsk, DeviceAsk, How, SensibleAsk
from pgbearer.client.sources.flight import Flights
from pgbearer.client.sources.freshness import Freshness, freshness
from pgbearer.client.sources.kept_login import KeptLogin
from pgbearer.client.store import StoreKind, TokenKey, TokenStore, open_store
from pgbearer.client.token import AccessToken
from pgbearer.errors import PgbearerError, UnreachableError

__all__ = ["NotLoggedInError", "PersonSource"]

_EARLY: Final = (0.2, 0.3)  # of a token's life: what is left of it when it is renewed ahead of its end
_EARLY_PATIENCE: Final = 2.0  # seconds that a caller with a good token waits for a better one
_AFTER_A_FAILURE: Final = 30.0  # seconds without another try, while the token is good


class NotLoggedInError(PgbearerError):
    """There is no login, or it has ended, and nobody may be asked."""


class PersonSource:
    """Gives the token of a person who logged in, renews it ahead of its end, and asks them when the login is over.

    All processes of the person that use the same store share one login: one of them renews, or asks, and the others
    take what it got. A token that is good is given at once; while the issuer cannot be reached, until it really ends.
    Safe in threads and in the tasks of any event loop; cancelling is safe.

    Args:
        issuer: https URL of the authorization server, exactly as it names itself.
        client_id: the client that logs in with a browser, and whose name the login is kept under.
        scope: space-separated; None for the client's default scopes.
        device_client_id: the client that logs in by device code.
        how: how the person is asked; ``auto`` without a terminal, and without a `show` or `browse` of the caller's, is
            ``never``: a job waits for nobody.
        show: puts a device code before the person; a `TerminalPrompt` on standard error if None.
        browse: takes the person to an address in a browser on this machine; likewise. Both are called in a thread.
        store: where the login is kept, or which kind of place.
        ca_file: PEM certificates to trust for the issuer instead of the system's.
        timeout: seconds for one exchange with the issuer.
        how_to_log_in: what a person who is not asked can do, for the error: a command.
        notice: told what the person should know beside the result.

    Raises:
        UsageError: `issuer` is not an issuer identifier.
    """

    def __init__(
        self,
        issuer: str,
        client_id: str = BROWSER_CLIENT,
        scope: str | None = None,
        *,
        device_client_id: str = DEVICE_CLIENT,
        how: How = "auto",
        show: Callable[[DeviceCode], None] | None = None,
        browse: Callable[[str], None] | None = None,
        store: TokenStore | StoreKind = "auto",
        ca_file: Path | None = None,
        timeout: float = 10.0,
        how_to_log_in: str | None = None,
        notice: Notice = notice_on_stderr,
    ) -> None:
        self._issuer = check_issuer(issuer)
        prompt = TerminalPrompt()
        browser = BrowserAsk(LoginRequest(issuer, client_id, scope), browse or prompt.browse)
        device = DeviceAsk(LoginRequest(issuer, device_client_id, scope), show or prompt)
        self._ask = _way(
            "never" if how == "auto" and not (show or browse or somebody_is_there()) else how, browser, device
        )
        self._how = how_to_log_in or f"pgbearer login --issuer {issuer}"
        self._notice = notice
        key = TokenKey(issuer, client_id, scope)
        self._kept = KeptLogin(key, _opener(store, notice), ca_file=ca_file, timeout=timeout, notice=notice)
        self._early = random.uniform(*_EARLY)  # noqa: S311  no secret: only that not all do it at once
        self._held: AccessToken | None = None
        self._no_try_before = 0.0  # on the monotonic clock
        self._flights = Flights(self._current)

    @property
    def issuer(self) -> str:
        """The issuer at which the person logs in."""
        return self._issuer

    @property
    def key(self) -> TokenKey:
        """What the login is kept under."""
        return self._kept.key

    @property
    def held(self) -> AccessToken | None:
        """The token that it gave last, or None; asks nobody and renews nothing."""
        return self._held

    def token(self) -> AccessToken:
        """As `TokenSource.token`.

        Raises:
            NotLoggedInError: the person has to log in, and may not be asked.
            UnreachableError: the token has ended, and the issuer cannot be reached to renew it.
            StoreError: the login cannot be read or kept.
            PgbearerError: what the login raises, where the person is asked.
        """
        at_once = self._at_once()
        if at_once is not None:
            return at_once
        return self._flights.wait(_EARLY_PATIENCE) or self._good() or self._flights.wait()

    async def token_async(self) -> AccessToken:
        """As `TokenSource.token_async`; raises what `token` raises."""
        at_once = self._at_once()
        if at_once is not None:
            return at_once
        return await self._flights.wait_async(_EARLY_PATIENCE) or self._good() or await self._flights.wait_async()

    def log_in(self) -> Grant:
        """Ask the person, whatever is kept, and keep the new login instead. Raises what `token` raises."""
        return Flights(self._log_in).wait()

    def log_out(self) -> bool:
        """Forget the login and end it at the issuer. False if there was none.

        Raises:
            PgbearerError: it is forgotten, but may live on at the issuer, which said no or nothing.
            StoreError: it cannot even be forgotten.
        """
        return Flights(self._log_out).wait()

    def kept(self) -> Grant | None:
        """The login as it is kept, good or over; asks nobody and renews nothing. Raises StoreError."""
        return self._kept.load()

    @property
    def where(self) -> str:
        """Where the login is kept, in words for a person. Raises StoreError."""
        return self._kept.store.where

    async def _current(self) -> AccessToken:
        """A token that is good now: the kept one, or one that takes its place."""
        grant = self._kept.load()
        state = Freshness.NEEDED if grant is None else self._state(grant.access)
        if grant is None or state is Freshness.NEEDED:
            async with self._kept.locked():
                return await self._renewed_or_asked()
        self._held = grant.access
        lock = self._kept.try_lock() if state is Freshness.DUE and not self._tried_lately() else None
        if lock is not None:  # else somebody else is renewing it just now
            try:
                return await self._renewed_or_asked()
            finally:
                lock.release()
        return grant.access

    async def _renewed_or_asked(self) -> AccessToken:
        """With the lock held: whoever had it before may have done all that was to be done."""
        grant = self._kept.load()
        if grant is not None and self._state(grant.access) is not Freshness.FRESH:
            grant = await self._renewed(grant)
        if grant is None:
            grant = await self._kept.replace(self._must_ask())
        self._held = grant.access
        return grant.access

    async def _renewed(self, grant: Grant) -> Grant | None:
        """The next grant, or `grant` where that fails and it is still good; None if the person has to log in."""
        if grant.refresh is not None and not _over(grant.refresh_expires_at):
            try:
                return await self._kept.renew(grant)
            except LoginEndedError:
                grant = self._kept.forget_renewal(grant)
            except (UnreachableError, LoginRefusedError) as error:
                if grant.access.expired(time.time()):
                    raise _ended(grant.access, error) from error
                self._put_off()
                return grant
        self._put_off()
        if self._state(grant.access) is not Freshness.NEEDED:
            return grant
        return grant if self._ask is None and not grant.access.expired(time.time()) else None

    def _must_ask(self) -> Ask:
        if self._ask is None:
            raise NotLoggedInError(
                "nobody is logged in, or the login has ended", where=self._issuer, hint=f"Log in with: {self._how}"
            )
        return self._ask

    async def _log_in(self) -> Grant:
        async with self._kept.locked():
            grant = await self._kept.replace(self._must_ask())
        self._held = grant.access
        return grant

    async def _log_out(self) -> bool:
        self._held = None
        async with self._kept.locked():
            return await self._kept.end()

    def _state(self, token: AccessToken) -> Freshness:
        return freshness(token, time.time(), self._early)

    def _at_once(self) -> AccessToken | None:
        """The token that it gave last, if there is nothing to be done about it now."""
        held = self._held
        state = Freshness.NEEDED if held is None else self._state(held)
        return held if state is Freshness.FRESH or (state is Freshness.DUE and self._tried_lately()) else None

    def _good(self) -> AccessToken | None:
        """The token that it gave last, if it can still be used."""
        held = self._held
        return None if held is None or self._state(held) is Freshness.NEEDED else held

    def _put_off(self) -> None:
        self._no_try_before = time.monotonic() + _AFTER_A_FAILURE

    def _tried_lately(self) -> bool:
        return time.monotonic() < self._no_try_before


def _way(how: How, browser: Ask, device: Ask) -> Ask | None:
    ways: Mapping[How, Ask | None] = {
        "auto": SensibleAsk(browser, device),
        "browser": browser,
        "device": device,
        "never": None,
    }
    return ways[how]


def _opener(store: TokenStore | StoreKind, notice: Notice) -> Callable[[], TokenStore]:
    return (lambda: open_store(store, notice=notice)) if isinstance(store, str) else (lambda: store)


def _over(ends: float | None) -> bool:
    return ends is not None and time.time() >= ends


def _ended(token: AccessToken, error: PgbearerError) -> PgbearerError:
    """What to say once a token has ended that could not be renewed."""
    if not isinstance(error, UnreachableError) or token.expires_at is None:
        return error
    return UnreachableError(
        f"the token ended {time.time() - token.expires_at:.0f} s ago, and it cannot be renewed: {error.what}",
        where=error.where,
        hint="The login itself is kept: try again when the issuer answers.",
    )
