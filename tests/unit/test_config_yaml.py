"""What the YAML reader takes, what it refuses, and where it says things stand."""

from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import pytest

from pgbearer.config.yaml_file import MAX_DEPTH, parse_yaml

# fmt: off
BARE = (
    "on", "off", "yes", "no", "y", "N", "On", "YES", "True", "FALSE", "0123", "0o17", "0x1F", "0b11", "1_000",
    "1:30", "190:20:30", "1.5", ".5", "1e3", "1.0e+3", ".inf", "-.INF", ".nan", "+5", "-0", "2027-13-01",
    "2027-1-1", "99999999999999999999", "=", "2027-01-31T99:00:00Z",
)
# fmt: on


def value(text: str) -> Any:
    document = parse_yaml(text)
    assert not document.problems, document.problems
    return document.value


def problems(text: str) -> list[str]:
    return [str(problem) for problem in parse_yaml(text).problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1", {"a": 1}),
        ("a: -5", {"a": -5}),
        ("a: 0", {"a": 0}),
        ("a: true", {"a": True}),
        ("a: false", {"a": False}),
        ("a: plain text", {"a": "plain text"}),
        ("a: 'on'", {"a": "on"}),
        ('a: "0123"', {"a": "0123"}),
        ("a: |\n  on\n", {"a": "on\n"}),
        ("a:", {"a": None}),
        ("a: [x, {b: c}]", {"a": ("x", {"b": "c"})}),
        ("a: 2027-01-31", {"a": date(2027, 1, 31)}),
        ("a: 2027-01-31T12:00:00Z", {"a": datetime(2027, 1, 31, 12, tzinfo=UTC)}),
        ("a: 2027-01-31 12:00:00", {"a": datetime(2027, 1, 31, 12, tzinfo=UTC)}),
        ("a: 10.0.0.0/8", {"a": "10.0.0.0/8"}),
        ("a: 127.0.0.1:8431", {"a": "127.0.0.1:8431"}),
        ("a: 10h", {"a": "10h"}),
        ("a: yesterday", {"a": "yesterday"}),
    ],
)
def test_values(text: str, expected: Any) -> None:
    result = value(text)
    assert result == expected
    assert [type(item) for item in result.values()] == [type(item) for item in expected.values()]


@pytest.mark.parametrize("bare", BARE)
@pytest.mark.parametrize("place", ["a: {}", "a: [{}]", "{}: a"])
def test_what_yaml_readers_take_differently_is_refused_bare(bare: str, place: str) -> None:
    found = problems(place.replace("{}", bare))
    assert found, bare
    assert "means different things to different YAML readers" in found[0]
    assert not problems(place.replace("{}", f'"{bare}"'))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", '2:1 a: the key "a" stands here twice'),
        ("a: {b: 1, c: 2, b: 3}", '1:17 a.b: the key "b" stands here twice'),
        ("a: &x [1]", '1:4 a: anchor "&x" is not allowed; write the value out where it is used'),
        ("a: 1\nb: *x", '2:4 b: alias "*x" is not allowed; write the value out where it is used'),
        ("a: {<<: {b: 1}}", '1:5 a["<<"]: merge keys (<<) are not allowed; write the keys out'),
        ("a: !!python/object:os.system x", "1:4 a: tag "),
        ("a: !secret x", '1:4 a: tag "!secret" is not allowed; quote the value if it is text'),
        ("a: !!str 1", '1:4 a: tag "tag:yaml.org,2002:str" is not allowed'),
        ("a: 1\n---\nb: 2", "2:1: a second document begins here; one file holds one"),
        ("? [a]\n: b", "1:3: a key must be plain text"),
        ("1: a", '1:1 1: the key "1" is not text; quote it'),
        ("true: a", "1:1 true: "),
        ("2027-01-31: a", "1:1 2027-01-31: "),
        ("a: [1", "not YAML: "),
        ("a: 'b", "not YAML: "),
        ("a:\n\tb: 1", "2:1: not YAML: a tab does not indent; write spaces"),
        ("a: b\x01", "not YAML: "),
        ("", "1:1: the file is empty"),
        ("# nothing", "1:1: the file is empty"),
    ],
)
def test_what_is_refused_and_where(text: str, message: str) -> None:
    assert message in problems(text)[0]


def test_every_problem_is_reported_at_once() -> None:
    assert len(problems("a: on\nb: &x 1\nc: !t 2\nc: 0123\n")) == 5


def test_nesting_is_counted_before_it_is_followed() -> None:
    assert not problems("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert problems("[" * 100_000) == [f"1:{MAX_DEPTH + 2} " + "[0]" * (MAX_DEPTH + 1) + ": nested too deeply"]


def test_an_exponential_bomb_is_only_text() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{key}: &{key} [*{last}, *{last}]\n" for last, key in pairwise("abcdefghi"))
    assert all("not allowed" in line for line in problems(bomb))


def test_places_of_keys_and_values() -> None:
    document = parse_yaml("a:\n  b: [x,\n      y]\n")
    assert document.keys == {("a",): (1, 1), ("a", "b"): (2, 3)}
    assert document.values[("a", "b", 1)] == (3, 7)
    assert document.position(("a", "b", 0)) == (2, 7)
    assert document.position(("a", "missing", "deeper")) == (1, 1), "the key of what is there"
