"""The audit at start: opened, or a bad set-up that says what to do about it."""

import os
from pathlib import Path

from pgbearer.audit import AuditLog, AuditUnavailable
from pgbearer.errors import UsageError

__all__ = ["open_audit"]


def open_audit(file: str) -> AuditLog:
    """Open ``audit.file`` for this host, waiting a few seconds for a predecessor that is about to end.

    Raises:
        UsageError: it cannot be opened, another service writes it, or it is not fit for an audit.
    """
    try:
        return AuditLog(file, instance=os.uname().nodename)
    except AuditUnavailable as error:
        raise UsageError(error.what, where=error.where, hint=_hint(Path(file).parent)) from None


def _hint(folder: Path) -> str | None:
    if os.access(folder, os.W_OK | os.X_OK):
        return None
    owner = f"-o {os.geteuid()} -g {os.getegid()}"
    return f"Its folder must be there and the service's own: install -d {owner} -m 0750 {folder}"
