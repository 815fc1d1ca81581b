"""Which servers have said, a moment ago, that they ask for the pinned issuer's tokens.

Given an issuer, libpq first connects without a token to hear which issuer the server wants, and only then with one:
so no server gets a token that it did not ask for, at the price of a second connection. Given the URL of
the issuer's metadata instead, it connects once and believes its caller. We ask each server once, and then for a while
connect to the very same parameters with the URL that it named.
"""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Final

__all__ = ["KnownServers"]

_LIFETIME: Final = 300.0  # seconds; about the life of one access token
_MOST: Final = 1_000


class KnownServers:
    """Remembers the metadata URL that a server named. Bounded in time and number; safe in threads and tasks.

    Args:
        lifetime: seconds after which a server is asked again.
        monotonic: seconds on a clock that never jumps.
    """

    def __init__(self, lifetime: float = _LIFETIME, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lifetime = lifetime
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._said: dict[Hashable, tuple[str, float]] = {}

    def discovery_url(self, server: Hashable | None) -> str | None:
        """The URL that `server` named within the lifetime, or None: ask it. None is a server that is never known."""
        with self._lock:
            url, until = self._said.get(server, ("", 0.0))
            return url if url and self._monotonic() < until else None

    def remember(self, server: Hashable | None, url: str | None) -> None:
        """`server` named `url` itself, over a verified channel, when it asked for a token."""
        if server is None or url is None:
            return
        with self._lock:
            if len(self._said) >= _MOST:
                self._said.clear()
            self._said[server] = (url, self._monotonic() + self._lifetime)

    def forget(self, server: Hashable | None) -> None:
        """A login at `server` failed: ask it anew next time."""
        with self._lock:
            self._said.pop(server, None)
