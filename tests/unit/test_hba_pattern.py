"""Whom a regular expression of pg_hba.conf fits, and which of them are left to PostgreSQL."""

import pytest

from pgbearer.hba.pattern import fits, is_pattern


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("/^app_", "app_x", True),
        ("/^app_", "people", False),
        ("/eop", "people", True),  # anywhere in it: there are no anchors but those that are written
        ("/^people$", "people", True),
        ("/^people$", "people2", False),
        ("/^people$", "people\n", False),  # Python's own $ would take it
        ("/^a.b$", "a\nb", True),  # as would not Python's own dot
        ("/^[a-c_]+[^0-9]$", "ab_x", True),
        ("/^[a-c_]+[^0-9]$", "ab_1", False),
        ("/^People", "people", False),
        ("/", "people", True),
        ("/^a.*b.*$", "axbx", True),
    ],
)
def test_what_both_take_alike(pattern: str, name: str, expected: bool) -> None:
    assert is_pattern(pattern)
    assert fits(pattern, name) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "/^(a)",
            "/a|b",
            r"/\ma",
            r"/a\d",
            "/a{2}",
            "/a*?",
            "/a++",
            "/*a",
            "/***=a",
            "/(?i)a",
            "/[[:alpha:]]",
            "/[]a]",
        ),
        *("/[a-]", "/[z-a]", "/a^b", "/a$b", "/é", "/a b", "/[a", "/" + ".*" * 5),
    ],
)
def test_what_is_left_to_postgresql(pattern: str) -> None:
    assert fits(pattern, "a") is None
