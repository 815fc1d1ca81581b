"""The one root exception; every error says what happened, where, and what to do next."""

import traceback

__all__ = ["MissingExtraError", "PgbearerError", "UnreachableError", "UsageError", "whereabouts"]


class PgbearerError(Exception):
    """Root of every error that pgbearer raises on purpose.

    Args:
        what: what happened, one line, lower case, without a full stop. Never a token or a secret.
        where: the file, address or setting it happened at, if there is one.
        hint: what the reader can do next, a full sentence, if there is something.

    ``exit_code`` is what the command line ends with: 1 drift, finding or refused; 2 usage or bad file; 3 unreachable.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what = what
        self.where = where
        self.hint = hint
        super().__init__(self.diagnostics())

    def diagnostics(self) -> str:
        """The message as a person reads it: ``where: what`` and the hint on a line of its own."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.hint}" if self.hint else head


class UsageError(PgbearerError):
    """What was asked for, or a file that was given, is not usable."""

    exit_code = 2


class UnreachableError(PgbearerError):
    """Something that must answer did not: connect, TLS, time-out, or an answer that is none."""

    exit_code = 3


class MissingExtraError(UsageError):
    """A part of pgbearer needs packages that are not installed.

    Args:
        extra: the name of the extra that brings them, e.g. ``serve``.
        module: the import that failed.
    """

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(
            f"this needs the extra [{extra}] (no module {module!r})",
            hint=f"Install it in a checkout of pgbearer with: pip install '.[{extra}]' (docs/install.md)",
        )


def whereabouts(error: BaseException) -> str:
    """Where an unforeseen error came from, without its message, which might quote what it failed on."""
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{frame.name}:{frame.lineno} in {frame.filename}" for frame in reversed(frames))
    return f"{type(error).__name__} at {places}"
