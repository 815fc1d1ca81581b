"""One audit file, one writer: two that append to the same file would each break the other's chain.

The lock is flock(2)'s, on the file itself: it goes with the open file and not with its name, so a rotated file stays
held by who still writes it, and it ends with the process, however that ends. It is advisory, and readers need none.
"""

import fcntl
import logging
import os
import time
from pathlib import Path
from typing import Final

from pgbearer.audit.sink import AuditUnavailable, open_file
from pgbearer.errors import UsageError

__all__ = ["PATIENCE", "open_held"]

PATIENCE: Final = 5.0
"""Seconds that a successor waits at its start for a predecessor that is about to leave."""

_LOOK_SECONDS: Final = 0.05

_log = logging.getLogger(__name__)


def open_held(path: Path, *, mine: int | None = None, patience: float = 0.0) -> int:
    """Open the audit file as `pgbearer.audit.sink.open_file` does, and hold it until the descriptor is closed.

    Args:
        path: the file.
        mine: a descriptor that holds a file already; if that is still the one at `path`, a duplicate is returned.
        patience: seconds to wait for whoever holds it. Blocks the thread, so only at start more than 0.

    Raises:
        AuditUnavailable: it cannot be opened or held.
        UsageError: another process writes it; or as `open_file`.
    """
    deadline = time.monotonic() + patience
    told = False
    while True:
        fd = open_file(path)
        if mine is not None and os.path.sameopenfile(mine, fd):
            os.close(fd)
            return os.dup(mine)
        if _hold(fd, path):
            return fd
        os.close(fd)
        if time.monotonic() >= deadline:
            raise UsageError(
                "another service writes this audit file",
                where=str(path),
                hint="Stop it, or give each service an audit.file of its own: two would break each other's chain.",
            )
        if not told:
            _log.warning("%s is held by another service; waiting up to %g s for it to end", path, patience)
            told = True
        time.sleep(_LOOK_SECONDS)


def _hold(fd: int, path: Path) -> bool:
    """True if the file is ours and still the one at `path`: it may have been rotated between opening and holding."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        os.close(fd)
        raise AuditUnavailable(f"cannot lock the audit file: {error.strerror}", where=str(path)) from None
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))  # noqa: PTH116 -- as fstat
    except FileNotFoundError:
        return False
