"""The proxy's own log: a line on standard error, or a line with a priority where systemd's journal reads it."""

import logging
import os
from typing import Final

from pgbearer.client.plain import plain

__all__ = ["log_to_stderr"]

_PRIORITIES: Final = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
_LONGEST: Final = 2_000


def log_to_stderr() -> None:
    """Send pgbearer's messages from INFO and everybody else's from WARNING there; libraries may log every request."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Line(journal="JOURNAL_STREAM" in os.environ))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("pgbearer").setLevel(logging.INFO)
    logging.raiseExceptions = False  # a closed standard error is no reason for tracebacks


class _Line(logging.Formatter):
    """``pgbearer: ...`` for a person; ``<4>...`` for the journal (sd-daemon(3)). One line, without a traceback."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITIES.get(record.levelname, 6)}>" if self._journal else "pgbearer: "
        return prefix + plain(record.getMessage(), limit=_LONGEST)
