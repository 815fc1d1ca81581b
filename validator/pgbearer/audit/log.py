"""The audit log: lines in a chain, in a file or on standard output, written before what they record takes effect."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgbearer.audit.aggregate import Aggregator
from pgbearer.audit.chain import Chain
from pgbearer.audit.holding import PATIENCE, open_held
from pgbearer.audit.record import DecisionRecord, timestamp
from pgbearer.audit.sink import STDOUT, AuditUnavailable, Sink, Syncer, open_stdout, read_tail
from pgbearer.errors import UsageError

__all__ = ["AuditLog"]

_log = logging.getLogger(__name__)


class AuditLog:
    """Writes records; used from one thread. No call waits for the disk.

    Args:
        path: the file, or ``-`` for standard output. A file's chain is continued where it ends.
        instance: the name of this service in every line.
        patience: seconds to wait for another service that writes the file and is about to end; blocks the thread.

    Raises:
        AuditUnavailable: the file cannot be opened.
        UsageError: another service writes the file, others may read or write it, or it is no audit file.
    """

    def __init__(self, path: str, *, instance: str, patience: float = PATIENCE) -> None:
        self._path = path
        self._instance = instance
        self._aggregator = Aggregator()
        sink = self._open(patience=patience)
        self._chain = self._continue(sink)
        self._sink = sink
        self._syncer = Syncer(sink)

    @property
    def fault(self) -> str | None:
        """Why lines do not reach the disk at present; None while they do."""
        return self._syncer.fault

    def write(self, record: DecisionRecord) -> bool:
        """Record one decision. The caller may answer only after this has returned.

        Returns:
            True if the decision has a line of its own; False if it is one of a flood of denials, of which only their
            number will be recorded (`flush`).

        Raises:
            AuditUnavailable: it was not recorded.
        """
        if self._aggregator.absorb(record):
            return False
        self._append("decision", record.at, record.entry())
        return True

    def limit(self, *, denials_per_minute: int) -> None:
        """How many denials of one identity have a line of their own, ``limits.denials_per_identity_per_minute``."""
        self._aggregator.denials_per_minute = denials_per_minute

    def note(self, kind: str, **members: Any) -> None:
        """Record something that is no decision: a start, a reload, a question on the admin socket.

        Raises:
            AuditUnavailable: it was not recorded.
        """
        self._append(kind, _now_ms(), members)

    def flush(self, *, everything: bool = False) -> None:
        """Write the numbers of the floods whose window is over, or of all. To be called about once a second.

        Raises:
            AuditUnavailable: they could not be written; they are kept.
        """
        now = _now_ms()
        for tally in self._aggregator.pending() if everything else self._aggregator.due(now):
            self._append("aggregate", now, tally.entry())
            self._aggregator.forget(tally)

    def reopen(self) -> None:
        """Open the path anew, after a rotation; the chain goes on in the new file, which says so in its first line.

        Raises:
            AuditUnavailable, UsageError: the new file cannot be used; the old one stays in use.
        """
        if self._path == STDOUT:
            return
        self._go_on_in(self._open(mine=self._sink.fd), deleted=False)

    def close(self) -> None:
        """Write what is still counted, sync, and close.

        Raises:
            AuditUnavailable: the last counts could not be written; the file is closed all the same.
        """
        try:
            self.flush(everything=True)
        finally:
            self._syncer.close()

    def _open(self, *, mine: int | None = None, patience: float = 0.0) -> Sink:
        if self._path == STDOUT:
            return Sink(open_stdout())
        return Sink(open_held(Path(self._path), mine=mine, patience=patience))

    def _go_on_in(self, sink: Sink, *, deleted: bool) -> None:
        self._syncer.switch(sink)
        self._sink = sink
        self.note("reopen", **({"deleted": True} if deleted else {}))

    def _leave_deleted(self) -> None:
        """Whoever takes the file away must not take what comes after with it."""
        try:
            sink = self._open()
        except UsageError as error:
            raise AuditUnavailable(f"the audit file was deleted, and {error.what}", where=self._path) from None
        _log.warning("%s was deleted, and its lines with it; the chain goes on in a new file", self._path)
        self._go_on_in(sink, deleted=True)

    def _continue(self, sink: Sink) -> Chain:
        """What goes before in the file. Standard output begins anew, where it is a file too: others write there."""
        if self._path == STDOUT or not sink.regular:
            return Chain()
        try:
            chain = Chain.after(read_tail(sink.fd))
        except ValueError as error:
            sink.close()
            raise UsageError(
                str(error), where=self._path, hint="Give audit.file a path of its own, or move this file away."
            ) from None
        if chain.torn:
            _log.warning("%s ends in a line that was cut short; the next one says so, the chain goes on", self._path)
        return chain

    def _append(self, kind: str, at: int, members: Mapping[str, Any]) -> None:
        if self._syncer.fault is not None:
            raise AuditUnavailable(f"cannot sync the audit: {self._syncer.fault}", where=self._path)
        if doubt := self._syncer.doubted():
            self._append_line("doubt", _now_ms(), {"since": timestamp(doubt.since), "reason": doubt.why})
        if self._sink.deleted:
            self._leave_deleted()
        self._append_line(kind, at, members)

    def _append_line(self, kind: str, at: int, members: Mapping[str, Any]) -> None:
        line = self._chain.line({"time": timestamp(at), "instance": self._instance, "kind": kind, **members})
        written = self._sink.write(line)
        self._syncer.wrote()
        if written < len(line):
            self._chain.tear(line[:written])
            raise AuditUnavailable("only part of a line could be written", where=self._path)
        self._chain.accept(line)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
