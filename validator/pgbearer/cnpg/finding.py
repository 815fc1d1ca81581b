"""One thing that a check found, and where."""

from dataclasses import dataclass

from pgbearer.cnpg.codes import CODES, Severity
from pgbearer.config import KeyPath, render_path

__all__ = ["Finding", "Found"]

_SHOWN = 200
"""Characters of a name that are shown: a manifest may have one of megabytes."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a check says: a code of `CODES`, the path within the object, what is there, and what to do about it."""

    code: str
    path: KeyPath
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A `Found` with its place. `document` counts from 1 within `file`; `line` and `column` may be None."""

    code: str
    path: KeyPath
    message: str
    hint: str
    file: str
    document: int | None = None
    what: str | None = None
    """``KIND/NAME`` of the object."""
    line: int | None = None
    column: int | None = None

    @property
    def severity(self) -> Severity:
        """How grave it is, which its code says."""
        return CODES[self.code].severity

    @property
    def counts(self) -> bool:
        """Whether it is a finding by which a check fails."""
        return self.severity != "notice"

    def __str__(self) -> str:
        """One line, e.g. ``db.yaml:9:5 Cluster/pg spec.postgresql.pg_hba[0]: error hba_trust: ...; ...``."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        head = " ".join(part for part in (place, (self.what or "")[:_SHOWN], render_path(self.path)) if part)
        return f"{head}: {self.severity} {self.code}: {self.message}; {self.hint}"

    def as_json(self) -> dict[str, object]:
        """The same for machines."""
        return {
            "code": self.code,
            "severity": self.severity,
            "file": self.file,
            "document": self.document,
            "object": self.what,
            "path": render_path(self.path),
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "hint": self.hint,
        }
