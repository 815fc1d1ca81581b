"""Tokens that were verified a moment ago: what they said, never what they are."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pgbearer.tokens.steady import steady_seconds
from pgbearer.tokens.verifier import Accepted, Verifier

__all__ = ["MAX_AGE", "ClaimsCache"]

MAX_AGE: Final = 60.0
"""Seconds that a verification is remembered, at most."""


@dataclass(frozen=True, slots=True)
class _Entry:
    verifier: Verifier
    accepted: Accepted
    until: float
    """On the steady clock."""


class ClaimsCache:
    """Verified claims by the SHA-256 of the whole token; least recently used go first. For one event loop.

    A hit saves parsing and one signature, nothing else: `recall` asks again everything that time, the configuration or
    the issuer's keys may have changed since. A reload makes new verifiers with a new cache, so no entry outlives the
    terms it was accepted under.

    Args:
        size: the most entries; 0 for none.
        steady: a clock that nobody can set, in seconds.
    """

    def __init__(self, size: int, steady: Callable[[], float] = steady_seconds) -> None:
        self._size = size
        self._steady = steady
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def recall(self, digest: bytes, now: float) -> tuple[Verifier, Accepted] | None:
        """Who verified this token and what it said, if that still holds; what does not is forgotten.

        Args:
            digest: SHA-256 of the token.
            now: epoch seconds.
        """
        entry = self._entries.get(digest)
        if entry is not None and self._steady() < entry.until and entry.verifier.still_accepts(entry.accepted, now):
            self._entries.move_to_end(digest)
            self.hits += 1
            return entry.verifier, entry.accepted
        self._entries.pop(digest, None)
        self.misses += 1
        return None

    def remember(self, digest: bytes, verifier: Verifier, accepted: Accepted) -> None:
        """Keep what `verifier` accepted, for at most `MAX_AGE`."""
        if self._size == 0:
            return
        self._entries[digest] = _Entry(verifier, accepted, self._steady() + MAX_AGE)
        self._entries.move_to_end(digest)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
