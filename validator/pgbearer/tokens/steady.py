"""A clock that nobody can set, and that goes on while the machine sleeps."""

import time

__all__ = ["steady_seconds"]

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux CLOCK_MONOTONIC stands still in suspend, CLOCK_BOOTTIME does not (clock_gettime(2)); macOS's goes on."""


def steady_seconds() -> float:
    """Seconds since some point in the past."""
    return time.clock_gettime(_BOOTTIME)
