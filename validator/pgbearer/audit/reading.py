"""An audit file as something to look through: the same questions that the admin socket answers, without a service."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pgbearer.errors import UsageError

__all__ = ["decisions_in", "lines_of"]


def lines_of(paths: Iterable[Path]) -> Iterator[bytes]:
    """The lines of audit files, one file after the other, newlines included; ``-`` is standard input.

    Raises:
        UsageError: a file cannot be read.
    """
    for path in paths:
        if str(path) == "-":
            yield from sys.stdin.buffer
            continue
        try:
            with path.open("rb") as file:
                yield from file
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from None


def decisions_in(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """The decisions in audit files, oldest first; other lines, and lines that are none, are passed over.

    What stands before a line's JSON is skipped: ``kubectl logs`` can be told to put a time or a pod's name there.
    A file may come from anywhere: what is yielded has a time that can be compared, text where text belongs or nothing,
    and names of rules in a list. Members beyond these are as the file has them.

    Raises:
        UsageError: a file cannot be read, or has lines and none of them is an audit's: it is another file.
    """
    for path in paths:
        lines = entries = 0
        for line in lines_of([path]):
            lines += not line.isspace()
            entry = _entry(line)
            if entry is not None:
                entries += 1
                if entry["kind"] == "decision" and _well_formed(entry):
                    yield entry
        if lines and not entries:
            raise UsageError(
                "no audit file: none of its lines is one of an audit",
                where="standard input" if str(path) == "-" else str(path),
                hint="An audit is what audit.file of the settings names, or what is in its place on standard output.",
            )


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line[max(line.find(b"{"), 0) :])
    except (ValueError, RecursionError):
        return None  # torn by a crash, or none of ours; `verify_chain` is for judging that
    return entry if isinstance(entry, dict) and isinstance(entry.get("kind"), str) else None


_TEXTS: Final = ("decision_id", "reason", "role", "database", "identity", "display", "issuer", "token_ref", "detail")


def _well_formed(entry: Mapping[str, Any]) -> bool:
    rules = entry.get("rules")
    return (
        all(isinstance(entry.get(name), str | None) for name in _TEXTS)
        and (rules is None or (isinstance(rules, list) and all(isinstance(rule, str) for rule in rules)))
        and _is_moment(entry.get("time"))
    )


def _is_moment(time: object) -> bool:
    try:
        return isinstance(time, str) and datetime.fromisoformat(time).tzinfo is not None
    except ValueError:
        return False
