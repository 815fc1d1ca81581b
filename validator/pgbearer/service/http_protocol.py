"""uvicorn's HTTP/1.1, bounded as our own is: one exchange a connection, in bytes, time and number.

uvicorn leaves these bounds to a proxy in front. Nothing stands in front of health and metrics, and what they used up
would be the logins': whoever reaches the listener could fill the memory with one endless header.
"""

import asyncio
from itertools import count
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["MAX_HEAD_BYTES", "BoundedHttp"]

MAX_HEAD_BYTES: Final = 8 * 1024
"""For uvicorn's ``h11_max_incomplete_event_size``; its other parser, httptools, has no such bound."""

MAX_CONNECTIONS: Final = 64
"""One more, and the oldest is cut: those who only connect then keep out nobody who asks."""

EXCHANGE_SECONDS: Final = 5.0
"""From connect until the answer is sent."""

_ages = count()


class BoundedHttp(H11Protocol):
    """One connection. That every answer ends it is the application's part: it says ``Connection: close``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.age = next(_ages)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Start the clock; make room if there is none."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(EXCHANGE_SECONDS, transport.abort)
        if len(self.connections) > MAX_CONNECTIONS:
            oldest: Any = min(self.connections, key=lambda one: getattr(one, "age", 0))
            self.connections.discard(oldest)
            oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._timer.cancel()
        super().connection_lost(exc)
