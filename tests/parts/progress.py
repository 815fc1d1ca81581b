"""Say what is being made, so that nobody waits in front of a silent screen.

Where the lines go can be changed (`speak_through`): pytest captures standard error; tests show these lines past that.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["say", "speak_through", "step"]


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


_voice: Callable[[str], None] = _to_stderr


def speak_through(voice: Callable[[str], None]) -> None:
    """Send every later line to `voice`, which gets it without its newline. Not thread-safe: call it once, early."""
    global _voice  # noqa: PLW0603 - one process has one screen
    _voice = voice


def say(what: str) -> None:
    """Show one line of progress."""
    _voice(f">> {what}")


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show `what` before, and how many seconds it took after, a piece of work that a person would notice."""
    say(f"{what} ...")
    began = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - began:.0f} s")
