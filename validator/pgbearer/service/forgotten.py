"""Revocations that the audit tells of and the state folder does not have: what they refused is accepted again.

The folder is what counts, and whoever takes it away takes its revocations away; but the audit, which is another place,
still tells of them. So nobody loses them unnoticed. They are not put back: the audit is a record, not a command.
"""

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pgbearer.audit import timestamp
from pgbearer.service.revocation_file import RevocationFile
from pgbearer.service.revoking import entry
from pgbearer.tokens import Revocations

__all__ = ["forgotten", "look_for_forgotten"]

_NEAR: Final = 1 << 20
_FAR: Final = 256 << 20
"""Bytes of the audit's end that are looked through: at every start, and if the folder was new; a second or two."""

_SHOWN: Final = 20

_log = logging.getLogger(__name__)


def look_for_forgotten(audit: str, kept: RevocationFile) -> tuple[str, ...]:
    """Compare what the audit file tells with what is in force, and say loudly what is missing.

    Args:
        audit: ``audit.file``, before this start has written to it; nothing is known from standard output.
        kept: open.

    Returns:
        The ids of the revocations that are missing.
    """
    size = os.stat(audit).st_size if os.path.isfile(audit) else 0  # noqa: PTH113, PTH116 -- "-" is no file
    if not size:
        return ()
    with Path(audit).open("rb") as file:
        file.seek(max(0, size - (_FAR if kept.made else _NEAR)))
        missing = forgotten(file, kept.current(), time.time())
    if missing:
        named = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        _log.warning(
            "revocations that %s tells of are not in %s and NOT IN FORCE: %s; make them anew (docs/revoking.md)",
            audit,
            kept.folder,
            named,
        )
    elif kept.made:
        _log.warning(
            "%s had no revocations although %s goes on: if older audit files tell of some, they are NOT IN FORCE",
            kept.folder,
            audit,
        )
    return missing


def forgotten(lines: Iterable[bytes], present: Revocations, now: float) -> tuple[str, ...]:
    """The ids of revocations that audit lines tell of and that should be in force at `now`, but nothing `present` is.

    Told apart by what they are about, so that one that was made anew is not missing. What is no line is passed over.

    Args:
        lines: of an audit, oldest first, with their newlines.
        present: what is kept.
        now: epoch seconds.
    """
    told: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for kind, revocation in _commands(lines):
        if kind == "revoke":
            told[_about(revocation)] = revocation
        elif kind == "lift":
            told.pop(_about(revocation), None)
    kept = {_about(entry(one)) for one in present.entries}
    moment = datetime.fromisoformat(timestamp(int(now * 1000)))
    return tuple(str(one["id"]) for about, one in told.items() if about not in kept and _lasts(one, moment))


def _commands(lines: Iterable[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in lines:
        if b'"kind":"revoke"' not in line and b'"kind":"lift"' not in line:
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        revocation = record.get("revocation") if isinstance(record, dict) else None
        if isinstance(revocation, dict) and isinstance(revocation.get("id"), str):
            yield str(record.get("kind")), revocation


def _about(revocation: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(revocation.get(name)) for name in ("kind", "value", "before", "issuer"))


def _lasts(revocation: Mapping[str, Any], moment: datetime) -> bool:
    until = revocation.get("until")
    try:
        return until is None or datetime.fromisoformat(str(until)) > moment
    except (ValueError, TypeError):
        return True  # rather said once too often
