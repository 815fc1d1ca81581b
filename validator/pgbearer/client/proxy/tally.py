"""What is counted of one upstream."""

import time
from dataclasses import dataclass

__all__ = ["Tally"]


@dataclass(slots=True)
class Tally:
    """Numbers since the start, and the last thing that went wrong. Of one event loop."""

    connections: int = 0
    connecting: int = 0
    logins: int = 0
    refused: int = 0
    last_error: str | None = None
    last_error_at: float | None = None

    def refuse(self, why: str) -> None:
        """A client could not be logged in; `why` holds no secret."""
        self.refused += 1
        self.last_error, self.last_error_at = why, time.time()
