"""A program that prints a token: its own user's, run without a shell, within bounds."""

import asyncio
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from pgbearer.client.plain import plain
from pgbearer.client.sources.failure import NoTokenError
from pgbearer.client.sources.printed import printed_token
from pgbearer.client.sources.renewed import Renewed
from pgbearer.client.token import MAX_TOKEN_BYTES, AccessToken
from pgbearer.errors import UsageError

__all__ = ["CommandSource"]

_MOST_BYTES: Final = 2 * MAX_TOKEN_BYTES
_GLANCE: Final = 0.05
"""Seconds between looks at whether a program that closed its output has ended."""


class CommandSource:
    """Runs a program when a token is due and reads the token from its standard output.

    It prints the token alone, or JSON with ``access_token`` and ``expires_in``; its standard error is this process's,
    so that a person sees what it says. It has no terminal and no input: it can ask nobody. A token whose end is known
    is kept in memory and renewed ahead of it, any other is used for one connection. Safe in threads and tasks: callers
    at the same time run it once.

    Args:
        command: the program and its arguments. Other users can read these: no secret belongs there.
        issuer: whose tokens these are; None if the caller or the connection string says it.
        timeout: seconds after which it is killed, and all that it started in its process group.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        issuer: str | None = None,
        timeout: float = 30.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if not command or not command[0]:
            raise UsageError("the command is empty", hint="Name a program, and its arguments one by one.")
        self._command = tuple(command)
        self._issuer = issuer
        self._timeout = timeout
        self._wall = wall
        self._renewed = Renewed(self._run_async, wall=wall)

    @property
    def issuer(self) -> str | None:
        """The issuer it was made with."""
        return self._issuer

    def token(self) -> AccessToken:
        """As `TokenSource.token`.

        Raises:
            UsageError: the program cannot be run.
            NoTokenError: it failed, took too long, or printed no token.
        """
        return self._renewed.token()

    async def token_async(self) -> AccessToken:
        """As `TokenSource.token_async`; when cancelled, the program is killed."""
        return await self._renewed.token_async()

    async def _run_async(self) -> AccessToken:
        run = _Run(self._command, self._timeout)
        try:
            return await asyncio.to_thread(self._run, run)
        finally:
            run.give_up()

    def _run(self, run: "_Run") -> AccessToken:
        asked = self._wall()
        token = printed_token(run.output(), where=run.name, asked=asked)
        if token.expired(self._wall()):
            raise NoTokenError("it printed a token that has ended", where=run.name)
        return token


class _Run:
    """One run of the program, by one thread; another may give it up."""

    def __init__(self, command: Sequence[str], timeout: float) -> None:
        self._command = command
        self._timeout = timeout
        self._given_up = threading.Event()
        self.name = plain(command[0])

    def give_up(self) -> None:
        """Nobody waits for it any more: it is killed within a moment, if it still runs."""
        self._given_up.set()

    def output(self) -> bytes:
        """What it prints. Raises as `CommandSource.token`."""
        process = self._start()
        try:
            printed = self._read(process)
        except BaseException:
            with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of one that has ended
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()
        status = process.wait()
        if status == 0:
            return printed
        del printed  # a traceback that shows locals would show it
        how = f"was ended by signal {-status}" if status < 0 else f"ended with exit code {status}"
        raise self._failed(how, "What it says for itself is on standard error.")

    def _start(self) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(  # noqa: S603  the user's own command, and no shell
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                start_new_session=True,  # a process group to kill, and no terminal to ask at
                bufsize=0,
            )
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else "an argument holds a NUL"
            raise UsageError(f"cannot be run: {said}", where=self.name) from None

    def _read(self, process: "subprocess.Popen[bytes]") -> bytes:
        """All that it prints until it has ended."""
        assert process.stdout is not None  # noqa: S101  a pipe was asked for
        ends, printed = time.monotonic() + self._timeout, bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                self._check(ends)
                if not selector.select(_GLANCE):
                    continue
                chunk = process.stdout.read(65536)
                if not chunk:
                    break
                printed += chunk
                if len(printed) > _MOST_BYTES:
                    del printed, chunk
                    raise self._failed(f"printed more than {_MOST_BYTES:,} bytes", "It shall print the token alone.")
        while process.poll() is None:
            self._check(ends)
            self._given_up.wait(_GLANCE)
        return bytes(printed)

    def _check(self, ends: float) -> None:
        if self._given_up.is_set():
            raise self._failed("was given up", "Whoever wanted the token does not wait for it any more.")
        if time.monotonic() >= ends:
            raise self._failed(f"did not end within {self._timeout:g} s", "It is killed; run it by hand to see why.")

    def _failed(self, what: str, hint: str) -> NoTokenError:
        return NoTokenError(f"the program {what}", where=self.name, hint=hint)
