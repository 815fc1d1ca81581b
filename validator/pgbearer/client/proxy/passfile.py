"""The passfile that holds a run's secrets, as libpq reads one (libpq's documentation, "The Password File")."""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from pgbearer.client.proxy.pins import Pins
from pgbearer.errors import UsageError

__all__ = ["passfile_line", "remove_passfile", "write_passfile"]


def passfile_line(address: str, port: int, pins: Pins, secret: str) -> str:
    """A line for exactly one address and port, and for the database and role if they are pinned."""
    fields = (_escaped(address), str(port), _field(pins.database), _field(pins.user), secret)
    return ":".join(fields)


def write_passfile(file: Path, lines: Iterable[str]) -> None:
    """Write it in one step, readable by nobody else at any moment.

    Raises:
        UsageError: the folder is not there, or not ours to write in.
    """
    beside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as out:
            out.write("".join(f"{line}\n" for line in lines))
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"cannot write the passfile: {error.strerror}", where=str(file)) from None


def remove_passfile(file: Path) -> None:
    """Take it away; gone already is fine."""
    file.unlink(missing_ok=True)


def _field(pinned: bytes | None) -> str:
    return "*" if pinned is None else _escaped(pinned.decode())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")
