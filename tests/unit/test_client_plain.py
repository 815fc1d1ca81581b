"""Text from outside cannot drive the terminal that it is shown on."""

import pytest

from pgbearer.client import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("alice", "alice"),
        ("Zoë 漢字", "Zoë 漢字"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b31m", "\\x9b31m"),
        ("moc.\u202eelgoog", "moc.\\u202eelgoog"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\u2028", "\\u2028"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_or_an_eye_would_obey_is_escaped(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_long_text_is_cut_visibly() -> None:
    assert plain("a" * 400) == "a" * 300 + "..."
