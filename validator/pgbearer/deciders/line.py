"""How a decider is reached: one exchange over the pool, with the faults that are the same for every protocol."""

from collections.abc import Mapping
from typing import Final, Protocol

from pgbearer.deciders.fault import DeciderFault, DeciderMisconfigured
from pgbearer.http import Fault, FetchError, Reply

__all__ = ["Line", "Poster"]

_CONNECTING: Final = frozenset({Fault.CONNECT, Fault.TLS})
_OURS: Final = frozenset({Fault.URL, Fault.REDIRECT})
"""Kinds that say that the address is wrong: following a redirect would let somebody else decide."""


class Poster(Protocol):
    """What a line goes over: `pgbearer.http.Pool`, or something else in a test."""

    async def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        """GET; see `pgbearer.http.Pool.get`."""
        ...

    async def post(self, url: str, body: bytes, *, content_type: str, headers: Mapping[str, str]) -> Reply:
        """POST; see `pgbearer.http.Pool.post`."""
        ...


class Line:
    """To one decider. For one event loop, and any number of tasks of it.

    Args:
        pool: makes the exchanges; bounds their time and size.
    """

    def __init__(self, pool: Poster) -> None:
        self._pool = pool

    async def post(
        self, url: str, body: bytes, *, content_type: str = "application/json", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """POST `body`. The reply is of any status but 3xx, 429 and 5xx.

        Raises:
            DeciderFault: no usable reply came, or one that says "not now".
            DeciderMisconfigured: the address is none, or it redirects.
        """
        try:
            reply = await self._pool.post(url, body, content_type=content_type, headers=headers or {})
        except FetchError as error:
            raise _fault_of(error) from None
        return _awake(reply, url)

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """GET, for metadata; raises as `post`."""
        try:
            reply = await self._pool.get(url, headers=headers or {})
        except FetchError as error:
            raise _fault_of(error) from None
        return _awake(reply, url)


def _fault_of(error: FetchError) -> DeciderFault | DeciderMisconfigured:
    if error.kind in _OURS:
        return DeciderMisconfigured(error.what, where=error.where)
    return DeciderFault(error.what, where=error.where, connecting=error.kind in _CONNECTING)


def _awake(reply: Reply, url: str) -> Reply:
    """Busy or broken is a fault, whatever else the answer says."""
    if reply.status == 429 or reply.status >= 500:
        raise DeciderFault(f"answered {reply.status}", where=url.partition("?")[0])
    return reply
