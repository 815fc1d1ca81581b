"""What is wrong with a file: one value per problem, with its place, and the error that carries them all."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pgbearer.errors import UsageError

__all__ = ["ConfigError", "KeyPath", "Problem", "did_you_mean", "render_path"]

KeyPath = tuple[str | int, ...]
"""The way from the top of the file to a value: keys and list indices, e.g. ``("rules", 2, "when")``."""

MAX_TEXT = 2000
"""Characters of a problem that are shown: a file may call a key by a name of megabytes."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding. An error keeps the file from being used; a warning is shown and does not; a notice only tells.

    `line` and `column` count from 1 and are None where the file has no such place (or was never a file).
    """

    path: KeyPath
    message: str
    hint: str | None = None
    severity: Literal["error", "warning", "notice"] = "error"
    file: str | None = None
    line: int | None = None
    column: int | None = None
    about_trust: bool = False
    """It is about who could write the file, not about what the file says."""
    about_files: bool = False
    """It is about a file that the settings name, which this machine may not have: another one runs the service."""

    of_all_rules: bool = False
    """It says that none of the rules does something, which nobody knows where one could not be read."""

    @property
    def is_error(self) -> bool:
        """True if the file must not be used."""
        return self.severity == "error"

    def __str__(self) -> str:
        """One line: ``pgbearer.yaml:14:9 rules[2].when: unknown name "clams"; did you mean "claims"?``."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        head = " ".join(part for part in (place, render_path(self.path)) if part)
        kind = "" if self.is_error else f"{self.severity}: "
        text = f"{kind}{self.message}; {self.hint}" if self.hint else f"{kind}{self.message}"
        whole = f"{head}: {text}" if head else text
        return _printable(whole if len(whole) <= MAX_TEXT else f"{whole[:MAX_TEXT]} ...")


class ConfigError(UsageError):
    """A file cannot be used. `problems` holds everything that is wrong with it, warnings included."""

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        count = sum(problem.is_error for problem in self.problems)
        super().__init__(f"{count} {'error' if count == 1 else 'errors'}", where=file)

    def diagnostics(self) -> str:
        """The summary, then one line a problem."""
        return "\n".join([f"{self.where}: {self.what}", *(f"  {problem}" for problem in self.problems)])


def render_path(path: KeyPath) -> str:
    """The path as people write it: ``issuers.corp.claims``, ``rules[2].when``, ``issuers["a.b"]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _BARE_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += '["' + _printable(part).replace('"', '\\"') + '"]'
    return text


def did_you_mean(word: str, known: Sequence[str]) -> str | None:
    """A hint with the known word nearest to `word`, or None if none is near."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else None


def _printable(text: str) -> str:
    """What a terminal shows must be what the file says: control, bidi and invisible characters become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
