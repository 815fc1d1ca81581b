"""What changes while logins go on: several at a time, without a pause, of which none may fail."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from tests.parts.processes import wait_until

__all__ = ["under_load"]

_AT_ONCE: Final = 4
_SECONDS: Final = 60.0


@contextmanager
def under_load(log_in: Callable[[], object]) -> Iterator[Callable[[int], None]]:
    """Call `log_in` again and again until the end of the block; gives what waits for so many logins more.

    Raises:
        Exception: what a login ended with, at the end of the block.
        TimeUpError: what was waited for took a minute.
    """
    stop, count = [False], [0]

    def go_on() -> None:
        while not stop[0]:
            log_in()
            count[0] += 1

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        going_on = [pool.submit(go_on) for _ in range(_AT_ONCE)]

        def await_more(logins: int) -> None:
            enough = count[0] + logins
            wait_until(lambda: count[0] >= enough or any(one.done() for one in going_on), _SECONDS, "logins to go on")

        try:
            yield await_more
        finally:
            stop[0] = True
        for one in going_on:
            one.result()
