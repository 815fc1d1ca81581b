"""Where revocations are kept: in memory for every login, and in one file that is replaced whole and on disk first.

Nothing is forgotten in silence: a file that cannot be read, held or written stops the start, or refuses the change.
"""

import asyncio
import fcntl
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol

from pydantic import Field

from pgbearer.config.settings import Section
from pgbearer.errors import PgbearerError, UsageError
from pgbearer.tokens import MOST_REVOCATIONS, Revocation, Revocations

__all__ = [
    "FILE",
    "RevocationFile",
    "RevocationStore",
    "StoreUnavailable",
    "parse_revocations",
    "render_revocations",
]

FILE: Final = "revocations.json"

_MAX_BYTES: Final = 64 * 1024 * 1024
"""More than `MOST_REVOCATIONS` of the longest."""

Edit = Callable[[Revocations], Revocations]
"""From what is in force to what shall be, on any thread; may raise, and then nothing changes."""


class StoreUnavailable(PgbearerError):  # noqa: N818 - a state of the world, named for what is said about it
    """A change could not be stored, so it was not made."""


class RevocationStore(Protocol):
    """Where the service has its revocations from. A store that replicas share would have the same three."""

    def current(self) -> Revocations:
        """What is in force, from memory: asked at every login."""
        ...

    async def change(self, edit: Edit) -> Revocations:
        """Store what `edit` makes of it; in force, and safe from a crash, when this returns.

        Raises:
            StoreUnavailable: it was not stored, and nothing changed.
        """
        ...

    async def aclose(self) -> None:
        """Finish the change under way, and take no more."""
        ...


class _Document(Section):
    """The file."""

    version: Literal[1]
    revocations: Annotated[tuple[Revocation, ...], Field(max_length=MOST_REVOCATIONS)]


def parse_revocations(data: bytes) -> Revocations:
    """The revocations that a file holds.

    Raises:
        ValueError: it is not such a file. No part of it may be used, for nobody knows what it should have said.
    """
    return Revocations(_Document.model_validate_json(data).revocations)


def render_revocations(revocations: Revocations) -> bytes:
    """The file that `parse_revocations` reads as `revocations`."""
    return _Document(version=1, revocations=revocations.entries).model_dump_json().encode() + b"\n"


class RevocationFile:
    """A store in a folder of the service's own (0700). For one event loop, in one process at a time.

    Args:
        folder: ``state.folder``; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made = False
        """True once `open` found no file, and so made the first."""
        self._path = folder / FILE
        self._lock: int | None = None
        self._current: Revocations | None = None
        self.listeners: set[Callable[[Revocations, float], None]] = set()
        """Called on the event loop with what is new, and the present (epoch seconds), once it is in force."""
        self._one_at_a_time = asyncio.Lock()
        self._changing: set[asyncio.Task[Revocations]] = set()

    def open(self) -> None:
        """Take the folder, read the file, and write it back, so that a disk that takes no change is seen now.

        Raises:
            UsageError: the folder is not ours alone, the file is damaged, or either cannot be read or written.
        """
        try:
            _own_folder(self.folder)
            self._lock = _hold(self.folder / "lock")
            self.made = not os.path.lexists(self._path)
            found = self._read()
            self._write(found)
        except BlockingIOError:
            raise UsageError(
                "another service keeps its state here", where=str(self.folder), hint="Stop it, or set state.folder."
            ) from None
        except (OSError, StoreUnavailable) as error:
            what = error.what if isinstance(error, StoreUnavailable) else f"cannot be used: {error.strerror}"
            hint = (
                "The service keeps revocations here; it must own the folder. Set state.folder to one that it may make."
            )
            raise UsageError(what, where=str(self.folder), hint=hint) from None
        self._current = found

    def current(self) -> Revocations:
        """What is in force. Before `open` nobody knows, and an error denies."""
        if self._current is None:
            raise RuntimeError("the revocations have not been read")
        return self._current

    async def change(self, edit: Edit) -> Revocations:
        """Store what `edit` makes of what is in force; goes on to its end also if the caller is cancelled meanwhile.

        Raises:
            StoreUnavailable: it was not stored; what is in force stays.
        """
        task = asyncio.create_task(self._change(edit), name="change revocations")
        self._changing.add(task)
        task.add_done_callback(self._changed)
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Finish the changes under way and let go of the folder."""
        await asyncio.gather(*self._changing, return_exceptions=True)
        self._current = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _change(self, edit: Edit) -> Revocations:
        async with self._one_at_a_time:
            # All of it in a thread: with thousands of entries the edit alone takes longer than a login may wait.
            before = self.current()
            self._current = after = await asyncio.to_thread(self._edited, edit, before)
            new = Revocations(set(after.entries) - set(before.entries)) if self.listeners else Revocations()
            for listener in tuple(self.listeners):
                listener(new, time.time())
            return after

    def _edited(self, edit: Edit, present: Revocations) -> Revocations:
        after = edit(present)
        self._write(after)
        return after

    def _changed(self, task: "asyncio.Task[Revocations]") -> None:
        self._changing.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked has it, unless they are gone; either way it has been seen

    def _read(self) -> Revocations:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return Revocations()
        with os.fdopen(fd, "rb") as file:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_uid not in {0, os.geteuid()} or found.st_mode & 0o077:
                raise UsageError(
                    f"is {stat.filemode(found.st_mode)} of uid {found.st_uid}",
                    where=str(self._path),
                    hint="It must be a regular file of the service's own, 0600.",
                )
            data = file.read(_MAX_BYTES)
        try:
            return parse_revocations(data)
        except ValueError:
            raise UsageError(
                "is damaged: nobody knows what is revoked",
                where=str(self._path),
                hint="Restore it. Without it, what it revoked is accepted again; the audit has each, kind: revoke.",
            ) from None

    def _write(self, revocations: Revocations) -> None:
        """Replace the file: whoever reads it, also after a crash, finds the old one or the new one."""
        new = self.folder / f"{FILE}.new"
        try:
            new.unlink(missing_ok=True)
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(render_revocations(revocations))
                file.flush()
                os.fsync(fd)
            new.rename(self._path)
            _sync_folder(self.folder)
        except OSError as error:
            raise StoreUnavailable(f"cannot write: {error.strerror}", where=str(self._path)) from None


def _own_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise UsageError(
            f"is {stat.filemode(found.st_mode)} of uid {found.st_uid}",
            where=str(folder),
            hint="The service keeps revocations here: it must be a folder of its own that nobody else may write.",
        )


def _hold(path: Path) -> int:
    """A lock for as long as the descriptor is open: two services would each write back what the other does not know.

    Raises:
        BlockingIOError: another process has it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
