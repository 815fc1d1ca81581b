"""The files that settings are made of: pgbearer.yaml, and ``policy.d/*.yaml`` beside it. Read, not yet understood."""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pgbearer.config.permissions import HOW_TO_MEND, read_trusted, untrusted
from pgbearer.config.problems import ConfigError, Problem

__all__ = ["FOLDER", "MAX_BYTES", "MAX_FILES", "Source", "Sources", "look", "read_fingerprint", "read_sources"]

FOLDER: Final = "policy.d"
MAX_BYTES: Final = 4 * 1024 * 1024
"""The most that is read, all files together: 10,000 rules of 400 bytes; as people write them they take 1 to 2 MiB."""
MAX_FILES: Final = 1000
"""In the folder."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*\.yaml")
_MISTAKEN = (".yml", ".yaml")
"""A file that ends so, in any case, was meant to be read."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file as it was read; `data` is None if it could not be, and `problems` says why."""

    path: Path
    data: bytes | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Sources:
    """All files of one reading; `others` in the order of their names."""

    main: Source
    others: tuple[Source, ...] = ()
    problems: tuple[Problem, ...] = ()
    """Of the folder itself, and of files in it that are not read."""

    @property
    def digest(self) -> str:
        """SHA-256 in hex over everything: of the file if there is one only, else as of ``sha256sum``'s list of them.

        That is ``LC_ALL=C sha256sum pgbearer.yaml policy.d/*.yaml | sha256sum``, so that anybody can check it.
        """
        if not self.others:
            return _digest(self.main.data)
        named = [(self.main.path.name, self.main), *((f"{FOLDER}/{other.path.name}", other) for other in self.others)]
        return _digest("".join(f"{_digest(source.data)}  {name}\n" for name, source in named).encode())


def read_sources(path: Path) -> Sources:
    """Read pgbearer.yaml at `path` and the folder beside it.

    A reading is of one moment: if a file came, went or changed meanwhile, that is among the problems, and what was read
    must not be used.

    Raises:
        ConfigError: pgbearer.yaml itself cannot be read.
    """
    before = look(path)
    try:
        main = _read(path, MAX_BYTES)
    except OSError as error:
        raise ConfigError(str(path), [_unreadable(path, error)]) from error
    found, problems = _listed(path.parent / FOLDER)
    others, left = [], MAX_BYTES - len(main.data or b"")
    for one in found:
        others.append(_read_other(one, left))
        left -= len(others[-1].data or b"")
    if look(path) != before:
        what = "a file came, went or changed while all were being read"
        problems.append(Problem(path=(), file=str(path.parent / FOLDER), message=what, hint="they will be read again"))
    return Sources(main, tuple(others), tuple(problems))


def read_fingerprint(path: Path) -> tuple[str, tuple[Problem, ...]]:
    """`Sources.digest` as it would be now, and what is wrong with the files themselves, such as who may write them.

    The digest is empty if pgbearer.yaml cannot be read.
    """
    try:
        sources = read_sources(path)
    except ConfigError as error:
        return "", error.problems
    each = (source.problems for source in (sources.main, *sources.others))
    return sources.digest, (*sources.problems, *(problem for problems in each for problem in problems))


def look(path: Path) -> tuple[object, ...]:
    """Something that is another as soon as a file of the settings at `path` may be, or who may write it. Reads none.

    Two changes within one tick of the file system's clock look like one.
    """
    folder = path.parent / FOLDER
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208 -- names only
    except OSError as error:
        return _stat(path), _keepers(path.parent), _stat(folder), error.errno
    return (
        _stat(path),
        _keepers(path.parent),
        _stat(folder),
        tuple((name, _stat(folder / name)) for name in names[: 2 * MAX_FILES]),
    )


def _stat(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _keepers(folder: Path) -> tuple[int, ...]:
    """Who may replace what is in a folder; other files in it may come and go."""
    try:
        found = folder.stat()
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_mode, found.st_uid)


def _listed(folder: Path) -> tuple[list[Path], list[Problem]]:
    """The files in the folder that are to be read, by name, and what is wrong with the folder."""
    problems: list[Problem] = []
    try:
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
        problems += [_distrust(folder, reason) for reason in dict.fromkeys(untrusted(folder))]
    except FileNotFoundError:
        if folder.is_symlink():
            problems.append(Problem(path=(), file=str(folder), message="leads nowhere"))
        return [], problems
    except OSError as error:
        return [], [_unreadable(folder, error)]
    found = [folder / name for name in names if _NAME.fullmatch(name)]
    for name in set(names) - {one.name for one in found}:
        if name.lower().endswith(_MISTAKEN):
            what = "is not read: its name must be of letters, digits and _ . @ + -, and end in .yaml"
            problems.append(Problem(path=(), file=str(folder / name), message=what, hint="rename it, or move it away"))
    if len(found) > MAX_FILES:
        problems.append(Problem(path=(), file=str(folder), message=f"holds more than {MAX_FILES} files"))
    return found[:MAX_FILES], problems


def _read_other(path: Path, max_bytes: int) -> Source:
    try:
        return _read(path, max_bytes)
    except OSError as error:
        return Source(path, None, (_unreadable(path, error),))


def _read(path: Path, max_bytes: int) -> Source:
    data, reasons = read_trusted(path, max_bytes)
    return Source(path, data, tuple(_distrusts(path, reasons)))


def _distrusts(path: Path, reasons: tuple[str, ...]) -> Iterator[Problem]:
    return (_distrust(path, reason) for reason in reasons)


def _distrust(path: Path, reason: str) -> Problem:
    message = f"not trusted: {reason}"
    return Problem(
        path=(),
        file=str(path),
        message=message,
        hint=HOW_TO_MEND,
        about_trust=True,
    )


def _unreadable(path: Path, error: OSError) -> Problem:
    return Problem(path=(), file=str(path), message=f"cannot be read: {error.strerror or error}")


def _digest(data: bytes | None) -> str:
    return hashlib.sha256(data or b"").hexdigest()
