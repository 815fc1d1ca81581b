"""Start a program of its own session, know later whether it still is that program, and stop it.

A process is remembered by pid *and* start time, so that what was started yesterday can be stopped today without ever
hitting another program that got the same pid. Linux only: it reads /proc.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Running", "TimeUpError", "launch", "wait_until"]


_HEARD = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE)
"""Signals that a background job of a shell, a Python program or nohup may ignore, and would hand on ignored."""


class TimeUpError(Exception):
    """What was waited for did not happen in time."""


@dataclass(frozen=True, slots=True)
class Running:
    """A process, named so that no other can be taken for it; `started` is field 22 of /proc/PID/stat (proc(5))."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "Running":
        """The process that has `pid` now; raises ProcessLookupError if there is none."""
        fields = _stat(pid)
        if fields is None:
            raise ProcessLookupError(pid)
        return cls(pid, fields[19])

    def alive(self) -> bool:
        """Whether it still runs; a child of ours that has ended is reaped."""
        with contextlib.suppress(ChildProcessError):  # not our child (an earlier command's), or already reaped
            os.waitpid(self.pid, os.WNOHANG)
        fields = _stat(self.pid)
        return fields is not None and fields[0] != "Z" and fields[19] == self.started

    def stop(self, *, patience: float = 20.0, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and its process group: ask with `how`, wait `patience` seconds, then SIGKILL. Gone already is fine."""
        if not self.alive():
            return
        os.killpg(self.pid, how)
        try:
            wait_until(lambda: not self.alive(), patience, f"process {self.pid} to end")
        except TimeUpError:
            os.killpg(self.pid, signal.SIGKILL)
            wait_until(lambda: not self.alive(), patience, f"process {self.pid} to be killed")


def launch(command: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None) -> Running:
    """Start `command` in a session of its own, with both its outputs appended to `log` and nothing to read.

    It outlives this process unless `Running.stop` is called. `env` replaces the environment; None hands ours on.

    Raises:
        FileNotFoundError: the first word of `command` is no program.
    """
    words = [str(word) for word in command]
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawnp(
        words[0],
        words,
        dict(os.environ if env is None else env),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=_HEARD,
    )
    return Running.of(pid)


def wait_until(happened: Callable[[], bool], patience: float, what: str, *, pause: float = 0.1) -> None:
    """Return as soon as `happened()` is true, asked every `pause` seconds.

    Raises:
        TimeUpError: `patience` seconds passed without it.
    """
    deadline = time.monotonic() + patience
    while not happened():
        if time.monotonic() >= deadline:
            raise TimeUpError(f"waited {patience:.0f} s for {what}")
        time.sleep(pause)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third (state) on; the name before them may hold anything."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
