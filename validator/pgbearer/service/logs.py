"""The service's own log on standard error: plain lines for people, JSON for collectors; each shows what it says."""

import json
import logging
import os
import time
from typing import Final, Literal

from pgbearer.errors import whereabouts
from pgbearer.tokens import printable

__all__ = ["LogFormat", "log_error", "set_up_logging"]

LogFormat = Literal["plain", "json"]

_log = logging.getLogger(__name__)

_PRIORITIES: Final = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


def set_up_logging(kind: LogFormat) -> None:
    """Send pgbearer's messages from INFO and everybody else's from WARNING to standard error.

    Libraries are kept to warnings because some (httpx) log every request they make.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if kind == "json" else _Plain(journal="JOURNAL_STREAM" in os.environ))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("pgbearer").setLevel(logging.INFO)
    logging.raiseExceptions = False  # a closed standard error is no reason for tracebacks


def log_error(what: str, error: BaseException) -> None:
    """Log where an unforeseen error came from, without its message, which might quote what it failed on."""
    _log.error("%s: %s", what, whereabouts(error))


class _Plain(logging.Formatter):
    """``error: ...`` for a person; ``<3>...`` for the journal, which makes it a priority (sd-daemon(3))."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname
        word = "" if level == "INFO" else f"{level.lower()}: "
        prefix = f"<{_PRIORITIES.get(level, 6)}>" if self._journal else word
        return "\n".join(prefix + printable(line) for line in record.getMessage().split("\n"))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(record.getMessage()),
        }
        return json.dumps(entry)
