"""Where audit lines go: a file or standard output, a whole line or none, on disk within a second."""

import os
import select
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pgbearer.errors import PgbearerError, UsageError

__all__ = ["STDOUT", "AuditUnavailable", "Doubt", "Sink", "Syncer", "open_file", "open_stdout", "read_tail"]

STDOUT: Final = "-"

SYNC_SECONDS: Final = 0.5
"""Between two fsyncs while lines are being written; half of what is promised."""

_STDOUT_WAIT_MS: Final = 250
_TAIL_BYTES: Final = 1 << 20
_FORBIDDEN_BITS: Final = 0o037
"""Written by its owner, read by at most its group."""


class AuditUnavailable(PgbearerError):  # noqa: N818 - a state of the world, named for what is said about it
    """A line could not be recorded. Whoever wanted to act on it must not."""


def open_file(path: Path) -> int:
    """Open the audit file for appending, making it with mode 0600.

    A symbolic link is not followed, so that nobody who may write the folder can point the audit elsewhere.

    Returns:
        A file descriptor, readable too, so that the chain can be continued.

    Raises:
        AuditUnavailable: it cannot be opened.
        UsageError: it is no regular file, somebody else's, or others may read or write it.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise AuditUnavailable(f"cannot open the audit file: {error.strerror}", where=str(path)) from None
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_mode & _FORBIDDEN_BITS or found.st_uid not in {0, os.geteuid()}:
        os.close(fd)
        raise UsageError(
            f"the audit file is {stat.filemode(found.st_mode)} of uid {found.st_uid}",
            where=str(path),
            hint="It must be a regular file of the service's own, 0600 or 0640.",
        )
    return fd


def open_stdout() -> int:
    """A descriptor for standard output of our own, which never blocks where that can be had (pipes).

    A collector that stops reading must cost a denial, not the event loop. A pipe that was made by another user, as for
    a container, may not be opened anew; then it is this one that does not block any more.
    """
    if not stat.S_ISFIFO(os.fstat(1).st_mode):
        return os.dup(1)
    try:
        return os.open("/dev/stdout", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        fd = os.dup(1)
        os.set_blocking(fd, False)
        return fd


def read_tail(fd: int) -> bytes:
    """The last lines of a file, at most 1 MiB of them, the first one possibly cut."""
    size = os.fstat(fd).st_size
    return os.pread(fd, _TAIL_BYTES, max(0, size - _TAIL_BYTES))


class Sink:
    """An open destination. Used from one thread; only `Syncer` reads `fd` from another.

    Args:
        fd: an open descriptor, which the sink closes.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._regular = stat.S_ISREG(os.fstat(fd).st_mode)
        self._stuck = False

    @property
    def regular(self) -> bool:
        """True for a file on disk, which can be synced and cut back."""
        return self._regular

    @property
    def deleted(self) -> bool:
        """True for a file that has no name any more: what is written there, nobody will ever read."""
        return self._regular and os.fstat(self.fd).st_nlink == 0

    def write(self, line: bytes) -> int:
        """Write the whole of `line`, or as little as can be.

        Returns:
            How many bytes of it now stand there: all, or, if the rest could not be taken back, a part.

        Raises:
            AuditUnavailable: nothing of it stands there.
        """
        start = os.fstat(self.fd).st_size if self._regular else 0
        written = 0
        try:
            while written < len(line):
                written += self._write_some(line[written:])
        except OSError as error:
            if written and not self._take_back(start):
                return written
            raise AuditUnavailable(f"cannot write the audit: {error.strerror}") from None
        self._stuck = False
        return written

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)

    def _write_some(self, data: bytes) -> int:
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            # A full pipe is given one moment; once it has not used it, no other line waits for it.
            if self._stuck:
                raise
            poller = select.poll()
            poller.register(self.fd, select.POLLOUT)
            self._stuck = not poller.poll(_STDOUT_WAIT_MS)
            return os.write(self.fd, data)

    def _take_back(self, size: int) -> bool:
        if not self._regular:
            return False
        try:
            os.ftruncate(self.fd, size)
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Doubt:
    """Lines that may never come to the disk: an fsync failed.

    Linux tells of that once and then takes them for written (fsync(2)): they are lost when the machine stops.
    """

    since: int
    """Epoch milliseconds of the last fsync that did not fail; what was written before is on disk."""
    why: str


class Syncer:
    """A thread that puts written lines on disk (fsync) within a second, so that no login waits for a disk.

    Args:
        sink: the first destination.

    `wrote`, `doubted`, `switch` and `close` are called from the thread that writes; `fault` may be read from any.
    """

    def __init__(self, sink: Sink) -> None:
        self.fault: str | None = None
        """Why the last fsync failed. None while all is well."""
        self._doubt: Doubt | None = None
        self._synced = _now_ms()
        self._lock = threading.Lock()
        self._sink = sink
        self._dirty = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-sync", daemon=True)
        self._thread.start()

    def wrote(self) -> None:
        """There is something to sync."""
        if not self._dirty.is_set():
            self._dirty.set()

    def doubted(self) -> Doubt | None:
        """What an fsync that failed leaves in doubt, told once, when they do not fail any more; None as a rule."""
        if self.fault is not None:
            return None
        doubt, self._doubt = self._doubt, None
        return doubt

    def switch(self, sink: Sink) -> None:
        """Sync and close the present destination and go on with another."""
        with self._lock:
            before, self._sink = self._sink, sink
            self._sync(before)
            before.close()
            self.fault = None  # it was the old destination's

    def close(self) -> None:
        """Sync a last time, end the thread and close the destination."""
        self._stop.set()
        self._dirty.set()
        self._thread.join()
        self._sync(self._sink)
        self._sink.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._dirty.wait()
            self._dirty.clear()
            with self._lock:
                self._sync(self._sink)
            if self.fault is not None:
                self._dirty.set()  # nothing is written during a fault, so nobody else would ask for another try
            self._stop.wait(SYNC_SECONDS)

    def _sync(self, sink: Sink) -> None:
        began = _now_ms()
        try:
            if sink.regular:
                os.fsync(sink.fd)
            self._synced = began
            self.fault = None
        except OSError as error:
            why = error.strerror or type(error).__name__
            self._doubt = self._doubt or Doubt(self._synced, why)
            self.fault = why


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
