"""What somebody on call sees, and which page is for it: read from runbooks/symptoms.toml."""

import os
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

__all__ = ["HEAD", "Symptom", "rows", "symptoms"]

HEAD: Final = ("You see", "Reason in the log", "Alert", "Page", "First")
"""Of the table that `rows` fills."""
_FOLDER: Final = Path(__file__).parent / "runbooks"


@dataclass(frozen=True, slots=True)
class Symptom:
    """One of them; `page` is below docs/, and `first`, if there is one, a command that stands on it."""

    seen: str
    page: str
    reasons: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    first: str = ""


@cache
def symptoms() -> tuple[Symptom, ...]:
    """All of them, in the order of the file."""
    read: dict[str, Any] = tomllib.loads((_FOLDER / "symptoms.toml").read_text(encoding="utf-8"))
    return tuple(
        Symptom(
            each["seen"],
            each["page"],
            tuple(each.get("reasons", ())),
            tuple(each.get("alerts", ())),
            each.get("first", ""),
        )
        for each in read["symptom"]
    )


def rows() -> list[tuple[str, ...]]:
    """Each as a row of the index, linked from where that is."""
    return [
        (
            each.seen,
            _code(each.reasons),
            _alerts(each.alerts),
            _link(each.page),
            _code([each.first] if each.first else []),
        )
        for each in symptoms()
    ]


def _code(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _alerts(names: tuple[str, ...]) -> str:
    return ", ".join(f"[{name}](../alerts.md#{name.lower()})" for name in names)


def _link(page: str) -> str:
    return f"[{Path(page).name}]({os.path.relpath(page, 'runbooks')})"
