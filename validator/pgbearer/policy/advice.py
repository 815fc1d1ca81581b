"""What a decider said to a login, as the policy takes it, and as a record has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Advice", "Answer", "advice_of"]


class Answer(StrEnum):
    """What asking a decider came to."""

    YES = "yes"
    NO = "no"
    UNAVAILABLE = "unavailable"
    """It could not be asked, or gave no usable answer: the only one to which ``on_fault`` applies."""
    MISCONFIGURED = "misconfigured"
    """It answers, but not to us."""
    UNASKABLE = "unaskable"
    """A value of the login cannot be part of the question."""
    UNKNOWN = "unknown"
    """It was not asked: too much is asked at a time, or a login is looked at again, or imagined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What one decider said to one login. `reason` is in its words or ours, and safe to log."""

    answer: Answer
    reason: str | None = None
    last_yes_age: float | None = None
    """If it is unavailable: seconds since it last said yes to this very question; None if it did not, or said no."""

    def __str__(self) -> str:
        """``no (not on duty)``."""
        return f"{self.answer} ({self.reason})" if self.reason else self.answer.value


def advice_of(entry: Mapping[str, Any]) -> Mapping[str, Advice]:
    """What deciders said in a recorded decision (its member ``asked``), by decider.

    Raises:
        ValueError, TypeError, KeyError: the record is of another form.
    """
    return {
        one["decider"]: Advice(
            answer=Answer(one["answer"]), reason=one.get("reason"), last_yes_age=one.get("last_yes_age")
        )
        for one in entry.get("asked") or ()
    }
