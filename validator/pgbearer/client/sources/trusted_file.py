"""Files that hold a token, a secret or a key: read anew at each use, within bounds, and only if nobody else wrote them.

Who can write the file decides as whom this program logs in, and so whose data it trusts. The rule is made so that
volumes of Kubernetes pass: links of root's in a sticky folder, renewed by swapping them.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pgbearer.client.secret import Secret
from pgbearer.errors import UsageError

__all__ = ["MOST_BYTES", "read_private", "read_secret", "read_trusted"]

MOST_BYTES: Final = 128 * 1024
"""More than any token, key or secret has."""


def read_trusted(path: Path, *, private: bool = False) -> bytes:
    """The bytes of a regular file that root or this user owns and no one else can write or exchange.

    Args:
        path: the file; links are followed, and what is judged is the file that was opened.
        private: also refuse what everybody on this machine can read.

    Raises:
        UsageError: it is not there, not readable, larger than `MOST_BYTES`, or not to be trusted.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            reason = next(_reasons(path, status, private=private), None)
            data = file.read(MOST_BYTES + 1) if reason is None else b""
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
    length = len(data)
    if reason is None and length <= MOST_BYTES:
        return data
    del data  # a traceback that shows locals would show it
    if reason is None:
        raise UsageError(f"larger than {MOST_BYTES:,} bytes", where=str(path))
    raise UsageError(f"not used, because {reason[0]}", where=str(path), hint=reason[1])


def read_private(path: Path) -> bytes:
    """As `read_trusted` for what lives long: a file that everybody on this machine can read is refused too."""
    return read_trusted(path, private=True)


def read_secret(path: Path) -> Secret:
    """The one line that a private file holds, without its end.

    Raises:
        UsageError: as `read_private`, or there is no such line.
    """
    try:
        return Secret(_line(read_private(path)))
    except ValueError:
        raise UsageError(
            "holds no secret: one line of text", where=str(path), hint="Write the secret alone into the file."
        ) from None


def _line(data: bytes) -> str:
    """The text, if it is one line; a UnicodeDecodeError would quote it."""
    text = data.decode("utf-8", errors="replace").rstrip("\r\n")
    del data
    return text if text.isprintable() and "\ufffd" not in text else ""


def _without_waiting(path: str, flags: int) -> int:
    """A pipe that nobody writes to must not be waited for."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _reasons(path: Path, status: os.stat_result, *, private: bool) -> Iterator[tuple[str, str]]:
    """Every reason not to use the file, with what to do about it."""
    mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
    if not stat.S_ISREG(status.st_mode):
        yield "it is not a regular file", "Name the file itself."
    if status.st_uid not in {0, os.geteuid()}:
        yield f"it belongs to uid {status.st_uid}, neither root nor this user", "Let this user or root own it."
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield f"others can write it ({mode})", f"chmod go-w {path}"
    if private and status.st_mode & stat.S_IROTH:
        yield f"everybody on this machine can read it ({mode})", f"chmod o-r {path}"
    for folder in dict.fromkeys((path.absolute().parent, path.resolve().parent)):
        if not _keeps(folder.stat()):
            yield f"others can exchange what is in {folder}", f"chmod go-w {folder}"


def _keeps(folder: os.stat_result) -> bool:
    """Whether no stranger can exchange what is in the folder: not theirs to write, or sticky (a volume's mount is)."""
    if folder.st_uid not in {0, os.geteuid()}:
        return False
    return not folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or bool(folder.st_mode & stat.S_ISVTX)
