"""The budgets, and whether a measurement keeps them: the table that `make bench` prints."""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Row", "render"]


@dataclass(frozen=True, slots=True)
class Row:
    """One budget held against what was measured. `kept` is None where the figure is only for information."""

    what: str
    measured: str
    budget: str = ""
    kept: bool | None = None

    @property
    def verdict(self) -> str:
        """``kept``, ``MISSED``, or nothing."""
        return "" if self.kept is None else ("kept" if self.kept else "MISSED")


def render(title: str, rows: Iterable[Row]) -> str:
    """A plain table under its title, columns as wide as they must be."""
    cells = [("what", "measured", "budget", "")] + [(r.what, r.measured, r.budget, r.verdict) for r in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([title, "-" * len(title), *lines, ""])
