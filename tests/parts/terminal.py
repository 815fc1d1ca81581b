"""A program that has a terminal, and somebody who types."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Terminal", "TerminalError"]

PATIENCE = 60.0


class TerminalError(Exception):
    """The program did not say what was waited for; the message has what it said instead."""


class Terminal:
    """Runs `command` with a terminal of its own as its input and both its outputs. A context manager: it is gone after.

    Args:
        command: the program and its arguments.
        env: its environment; None hands ours on.
    """

    def __init__(self, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        self._ours, theirs = pty.openpty()
        try:
            own = ["setsid", "--ctty", *command]  # without a session of its own the terminal's keys send it no signals
            self.process = subprocess.Popen(own, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
        finally:
            os.close(theirs)
        self.said = ""
        """All that it has written so far, and the echo of what was typed."""
        self._seen = 0

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def type(self, line: str) -> None:
        """Type `line` and Enter."""
        os.write(self._ours, f"{line}\n".encode())

    def press(self, control: str) -> None:
        """Press Ctrl and the key `control`: C interrupts, D ends the input."""
        os.write(self._ours, bytes([ord(control) & 0x1F]))

    def press_until(self, control: str, text: str) -> None:
        """Press Ctrl and the key until `text` is written: a prompt may be there before its program heeds the key.

        Raises:
            TerminalError: it was not written in a minute, or the program ended.
        """
        deadline = time.monotonic() + PATIENCE
        again = 0.0
        while (found := self.said.find(text, self._seen)) < 0:
            now = time.monotonic()
            if now >= deadline:
                raise TerminalError(f"waited for {text!r}; there was {self.said[self._seen :]!r}")
            if now >= again:  # not sooner: a second one would take what is typed next with it
                self.press(control)
                again = now + 5.0
            self._read(again)
        self._seen = found + len(text)

    def until(self, text: str) -> str:
        """Wait for `text` in what is written after what was waited for last, and give all up to its end.

        Raises:
            TerminalError: it was not written in a minute, or the program ended.
        """
        deadline = time.monotonic() + PATIENCE
        while (found := self.said.find(text, self._seen)) < 0:
            if not self._read(deadline):
                raise TerminalError(f"waited for {text!r}; there was {self.said[self._seen :]!r}")
        began, self._seen = self._seen, found + len(text)
        return self.said[began : self._seen]

    def ends(self) -> int:
        """Wait until it ends, and give its exit code.

        Raises:
            TerminalError: it has not in a minute.
        """
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        try:
            return self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TerminalError(f"it does not end; it said {self.said[self._seen :]!r}") from None

    def _read(self, deadline: float) -> bool:
        """Whether more was written before the deadline, and before it closed its terminal."""
        readable, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            return False
        try:
            more = os.read(self._ours, 65_536)
        except OSError:  # EIO: nobody has the other side any more (pty(7))
            return False
        self.said += more.decode(errors="replace")
        return bool(more)
