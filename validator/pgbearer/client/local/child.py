"""A program that is started in our place: it has the terminal and the signals, and we end as it does."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from pgbearer.client.plain import plain
from pgbearer.errors import UsageError

__all__ = ["find_program", "run_child"]

_OF_KEYS: Final = frozenset({signal.SIGINT, signal.SIGQUIT})
_PASSED_ON: Final = (*_OF_KEYS, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_BY_SIGNAL: Final = 128
"""What a shell adds to a signal's number for its exit code."""


def find_program(name: str, *, hint: str | None = None) -> str:
    """The path of a program: `name` itself if it has a slash, else as PATH says.

    Raises:
        UsageError: there is none that may be run.
    """
    found = shutil.which(name)
    if found is None:
        raise UsageError(f"there is no program {plain(name)!r}", hint=hint or "Is it installed, and in the PATH?")
    return found


async def run_child(
    command: Sequence[str], environment: Mapping[str, str], *, started: Callable[[], None] = lambda: None
) -> int:
    """Run a program with our terminal, input and outputs, and wait for its end.

    It stays in our process group, so that a terminal's keys, its window's size and a shell's job control reach it as if
    it had been started alone; signals that only we get are passed on. What is ignored stays ignored, as under nohup.

    Args:
        command: the program and its arguments.
        environment: its whole environment.
        started: called once it has been started, for what it is not to inherit.

    Returns:
        Its exit code, or 128 and its signal's number, as a shell has it.

    Raises:
        UsageError: it cannot be started.
    """
    loop = asyncio.get_running_loop()
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: signal.Signals) -> None:
        if children and not (number in _OF_KEYS and _in_the_foreground()):
            children[0].send_signal(number)

    with _hearing(loop, pass_on):
        children.append(_start(command, environment))
        started()
        code = await asyncio.to_thread(children[0].wait)
    return code if code >= 0 else _BY_SIGNAL - code


def _start(command: Sequence[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(command, env=environment)  # noqa: S603  what the person wants to run
    except OSError as error:
        raise UsageError(f"cannot be started: {error.strerror}", where=plain(command[0])) from None


@contextmanager
def _hearing(loop: asyncio.AbstractEventLoop, heard: Callable[[signal.Signals], None]) -> Iterator[None]:
    ours = [number for number in _PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN]
    for number in ours:
        loop.add_signal_handler(number, heard, number)
    try:
        yield
    finally:
        for number in ours:
            loop.remove_signal_handler(number)


def _in_the_foreground() -> bool:
    """Whether a terminal's keys send their signals to us, and so to our program as well (tcgetpgrp(3))."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
