"""Summaries of measured times; no measuring here."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Summary", "median", "percentile"]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of `values` lies, by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two in the middle."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


@dataclass(frozen=True, slots=True)
class Summary:
    """Times of one kind of login, in milliseconds."""

    kind: str
    p50: float
    p99: float
    count: int

    @classmethod
    def of(cls, kind: str, seconds: Sequence[float]) -> "Summary":
        """Summarise `seconds`."""
        return cls(kind, median(seconds) * 1e3, percentile(seconds, 0.99) * 1e3, len(seconds))
