"""SQL to its words, and what they do: whatever it is, it is read to its end, in time that grows as it does."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer.cnpg.sql_does import Does, what_it_does
from pgbearer.cnpg.sql_words import streams

GRANT = "GRANT a TO b"
MEMBER = Does("member", "b", "a")

PIECES = "grant to create alter role in password system copy program language x ; , ' \" $$ $a$ -- /* */ E' \\ a b é"


@given(st.lists(st.sampled_from(PIECES.split(" ")), max_size=60).map(" ".join) | st.text(max_size=200))
def test_nothing_breaks_it(sql: str) -> None:
    for words in streams(sql):
        assert all(words)
    for does in what_it_does(sql):
        assert does.role or does.what


@given(st.text(alphabet=" \nabcx'\"$-/*;\\", max_size=40))
def test_what_is_hidden_from_postgresql_alone_is_hidden(before: str) -> None:
    """Behind a string, a name or a body that ends, and a comment that ends, the statement is seen."""
    for opened, closed in (("'", "'"), ('"', '"'), ("$q$", "$q$"), ("/*", "*/")):
        if not {opened[0], opened[-1], closed[0], closed[-1], "q"} & set(before):
            assert MEMBER in what_it_does(f"SELECT {opened}{before}{closed}; {GRANT}")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("grant A, \"B\"\"c\" to X, y with admin option", {("x", "a"), ("y", "a"), ("x", 'B"c'), ("y", 'B"c')}),
        ("CREATE ROLE a IN ROLE b, c ROLE d ADMIN e LOGIN", {("a", "b"), ("a", "c"), ("d", "a"), ("e", "a")}),
        ("ALTER GROUP g ADD USER a, b", {("a", "g"), ("b", "g")}),
        ("CREATE USER a IN GROUP b", {("a", "b")}),
        ("DO $x$ BEGIN EXECUTE $y$GRANT a TO b$y$; END $x$", {("b", "a")}),
        (r"SELECT '\'; GRANT a TO b", {("b", "a")}),
        ('SELECT 1 AS "grant a to b"', set()),
        ("CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'x', password 'y')", set()),
    ],
)  # fmt: skip
def test_who_becomes_a_member_of_what(sql: str, expected: set[tuple[str, str]]) -> None:
    assert {(does.role, does.what) for does in what_it_does(sql)} == expected


@pytest.mark.parametrize(
    "sql",
    [
        *("grant " * 150_000, "create role a in role " * 40_000, "create role a " + "in role " * 100_000),
        *("load " * 200_000, "copy " + "to " * 300_000, "language x " * 50_000, "'" * 900_000, "/*" * 450_000),
        *("$$" * 450_001, "E'" + "\\" * 900_000, '"' * 900_001, "$a" * 400_000, "set x, " * 140_000),
    ],
    ids=lambda sql: sql[:12],
)
def test_what_is_long_is_read_to_its_end(sql: str) -> None:
    """Without a limit of time: where this grows faster than the text, it takes minutes."""
    with suppress(ValueError):
        assert len(what_it_does(sql)) <= 1
