"""Files that are nobody else's: a folder of 0700 with files of 0600, checked on the open file, never by name alone."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pgbearer.client.store.store import StoreError

__all__ = ["PrivateFolder"]

_OTHERS: Final = 0o077
_SAFE: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # nonblocking: a FIFO in a file's place must not hold us up


class PrivateFolder:
    """A folder and its files, all of which belong to us and are open to nobody else.

    Each call opens the folder anew and works below the open folder, so that no other can be put in its place meanwhile.
    Safe in threads and processes.

    Args:
        path: made, with what is missing above it, when something is first put there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str, limit: int) -> bytes | None:
        """The file `name`, or None if there is none.

        Raises:
            StoreError: folder or file is somebody else's, open to others, a link, no ordinary file, or longer than
                `limit` bytes.
        """
        try:
            with self._opened() as folder, os.fdopen(self._open(folder, name, os.O_RDONLY), "rb") as file:
                content = file.read(limit + 1)
        except FileNotFoundError:
            return None
        if len(content) > limit:
            raise StoreError(f"longer than {limit} bytes", where=str(self.path / name), hint="Remove the file.")
        return content

    def write(self, name: str, content: bytes) -> None:
        """Put `content` into the file `name`, whole or not at all; it is on the disk when this returns.

        Raises:
            StoreError: the folder cannot be used, or the disk did not take it. What was there is still there.
        """
        made = f".{name}.{secrets.token_hex(8)}.tmp"
        try:
            with self._opened(make=True) as folder:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                try:
                    with os.fdopen(self._open(folder, made, flags), "wb") as file:
                        file.write(content)
                        file.flush()
                        os.fsync(file.fileno())
                    os.rename(made, name, src_dir_fd=folder, dst_dir_fd=folder)
                except BaseException:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(made, dir_fd=folder)
                    raise
                os.fsync(folder)
        finally:
            del content  # a traceback that shows locals would show it

    def rename(self, name: str, new: str) -> None:
        """Call the file `name` something else; nothing if there is none. Raises StoreError."""
        with contextlib.suppress(FileNotFoundError), self._opened() as folder:
            os.rename(name, new, src_dir_fd=folder, dst_dir_fd=folder)

    def remove(self, name: str) -> None:
        """Remove the file `name`, if it is there, and what was set aside or half written of it. Raises StoreError."""
        with contextlib.suppress(FileNotFoundError), self._opened() as folder:
            for entry in _names_in(folder):
                if entry == name or entry.startswith((f"{name}.", f".{name}.")):
                    os.unlink(entry, dir_fd=folder)

    def names(self, ending: str) -> tuple[str, ...]:
        """The names that end in `ending`, sorted. Raises StoreError."""
        try:
            with self._opened() as folder:
                return tuple(sorted(entry for entry in _names_in(folder) if entry.endswith(ending)))
        except FileNotFoundError:
            return ()

    def open(self, name: str) -> int:
        """A descriptor of the file `name`, for reading and writing; made if it is not there. Raises StoreError."""
        with self._opened(make=True) as folder:
            return self._open(folder, name, os.O_RDWR | os.O_CREAT)

    @contextmanager
    def _opened(self, *, make: bool = False) -> Iterator[int]:
        """A descriptor of the folder, once it is known to be ours alone; what the system refuses is a StoreError."""
        try:
            if make and not self.path.is_dir():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.mkdir(mode=0o700, exist_ok=True)
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | _SAFE)
            try:
                _check(os.fstat(folder), self.path)
                yield folder
            finally:
                os.close(folder)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _refused(error, self.path) from None

    def _open(self, folder: int, name: str, flags: int) -> int:
        try:
            file = os.open(name, flags | _SAFE, 0o600, dir_fd=folder)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _refused(error, self.path / name) from None
        try:
            _check(os.fstat(file), self.path / name, ordinary=True)
        except StoreError:
            os.close(file)
            raise
        return file


def _names_in(folder: int) -> list[str]:
    return os.listdir(folder)


def _check(found: os.stat_result, path: Path, *, ordinary: bool = False) -> None:
    if ordinary and not stat.S_ISREG(found.st_mode):
        raise StoreError("not an ordinary file", where=str(path), hint="Remove it.")
    if found.st_uid != os.geteuid():
        raise StoreError(
            f"belongs to uid {found.st_uid}, and logins are kept for uid {os.geteuid()}",
            where=str(path),
            hint="After sudo or su, the home folder may be the other user's: set HOME, or XDG_STATE_HOME.",
        )
    if found.st_mode & _OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        raise StoreError(
            f"open to others (mode {mode:04o})",
            where=str(path),
            hint=f"If nobody has read or changed it: chmod {mode & ~_OTHERS:04o} {path}",
        )


def _refused(error: OSError, path: Path) -> StoreError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return StoreError("a link or no folder stands where a login is kept", where=str(path), hint="Remove it.")
    return StoreError(f"cannot be used: {error.strerror}", where=str(path))
