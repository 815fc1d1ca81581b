"""One question to a decider as it is recorded: what came, how long it took, and from where."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = ["Inquiry", "Source", "told"]

Source = Literal["decider", "cache", "breaker", "limit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """What asking one decider about one login came to."""

    decider: str
    """Its name under ``deciders:``."""
    answer: str
    """``yes``, ``no``, ``unavailable``, ``misconfigured``, ``unaskable`` or ``unknown``: `pgbearer.policy.Answer`."""
    reason: str | None = None
    """In the decider's words, or ours for what is no opinion; escaped and bounded."""
    seconds: float
    """From the question to the answer, waiting for its turn included."""
    source: Source
    """Whether it was asked, or remembered, or not asked: left alone after faults, or no turn was to be had."""
    breaker: str
    """``closed``, ``open`` or ``half-open``, when it was to be asked."""
    last_yes_age: float | None = None
    """If it is unavailable: seconds since it last said yes to the same question; None if that is not known."""

    def entry(self) -> dict[str, Any]:
        """As a member of an audit line."""
        age = self.last_yes_age
        return {
            "decider": self.decider,
            "answer": self.answer,
            "reason": self.reason,
            "ms": round(self.seconds * 1000, 1),
            "from": self.source,
            "breaker": self.breaker,
            "last_yes_age": None if age is None else round(age, 3),
        }


_WORDS: Final = {"unavailable": "is", "misconfigured": "is", "unaskable": "is"}
_HOW: Final = {"cache": "remembered", "breaker": "not asked"}


def told(entry: Mapping[str, Any]) -> str:
    """An inquiry of an audit line for people: ``opa said no (not on duty), 3.1 ms, breaker closed``.

    Raises:
        TypeError, KeyError: the line is of another form.
    """
    reason = f" ({entry['reason']})" if entry["reason"] else ""
    if entry["answer"] == "unknown":
        return f"{entry['decider']} was not asked{reason}"
    how = _HOW.get(entry["from"]) or f"{entry['ms']} ms"
    said = f"{entry['decider']} {_WORDS.get(entry['answer'], 'said')} {entry['answer']}"
    return f"{said}{reason}, {how}, breaker {entry['breaker']}"
