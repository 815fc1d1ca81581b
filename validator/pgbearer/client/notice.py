"""What a person is told beside the result: one line on standard error."""

import sys
from collections.abc import Callable

from pgbearer.client.plain import plain

__all__ = ["Notice", "notice_on_stderr"]

Notice = Callable[[str], None]
"""Takes one sentence without a full stop; never a token or a secret. Called from any thread."""


def notice_on_stderr(text: str) -> None:
    """Write `text` as one line, which cannot steer the terminal. Safe in threads."""
    sys.stderr.write(f"pgbearer: {plain(text, limit=1_000)}\n")
    sys.stderr.flush()
