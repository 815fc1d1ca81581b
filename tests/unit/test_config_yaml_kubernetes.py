"""What bare words of manifests are to Kubernetes: the table was held against sigs.k8s.io/yaml 1.6."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgbearer.config.yaml_file import Document, parse_documents
from pgbearer.config.yaml_kubernetes import as_kubernetes

# fmt: off
TABLE: list[tuple[str, Any]] = [
    *((word, True) for word in ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")),
    *((word, False) for word in ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")),
    *((word, None) for word in ("", "~", "null", "Null", "NULL")),
    *((word, word) for word in ("yEs", "tRUE", "oN", "nULL", "yes!", "_1", "0x", "--1", "1e", "=", ".", "\u0661")),
    ("0440", 288), ("-0x1A", -26), ("0X1a", 26), ("0o17", 15), ("0b11", 3), ("1_000", 1000), ("+5", 5), ("-0", 0),
    ("08", 8), ("26.0", 26), ("2.6e1", 26), ("1.5", 1.5), (".5", 0.5), ("1e5_0", int(1e50)), ("1e999", "1e999"),
    ("9223372036854775808", 2**63), ("18446744073709551616", 2**64), ("0x" + "f" * 17, "0x" + "f" * 17),
    ("1:30", "1:30"), ("2027-01-31", "2027-01-31"), ("2027-01-31T12:00:00Z", "2027-01-31T12:00:00Z"),
]
# fmt: on


def only(text: str) -> Document:
    (document,) = parse_documents(text)
    return document


@pytest.mark.parametrize(("word", "expected"), TABLE)
def test_a_bare_word(word: str, expected: Any) -> None:
    found = as_kubernetes(word)
    assert (found, type(found)) == (expected, type(expected))
    assert only(f"a: {word}").value == {"a": expected}


@pytest.mark.parametrize(("word", "_"), TABLE)
def test_what_stands_in_quotes_is_text(word: str, _: Any) -> None:
    document = only(f'a: "{word}"')
    assert document.value == {"a": word}
    assert not document.problems


@pytest.mark.parametrize(
    ("word", "key"), [("on", "true"), ("No", "false"), ("0x10", "16"), ("2027-01-31", "2027-01-31")]
)
def test_a_key_is_text(word: str, key: str) -> None:
    document = only(f"{word}: 1")
    assert document.value == {key: 1}
    assert [problem.severity for problem in document.problems] == ["notice"] * (word != key)


@pytest.mark.parametrize("word", ["True", "on", "0440", "1e5_0", "0X1a", "1:30"])
def test_what_other_readers_take_otherwise_is_told(word: str) -> None:
    (problem,) = only(f"a: {word}").problems
    assert (problem.severity, problem.path) == ("notice", ("a",))


@pytest.mark.parametrize("word", ["true", "26", "null", "text", "2027-01-31"])
def test_what_all_take_alike_is_not(word: str) -> None:
    assert not only(f"a: {word}").problems


@given(st.text(max_size=80) | st.from_regex(r"[-+]?0?[xXbBoO]?[0-9a-f_.eE+-]{1,60}", fullmatch=True))
def test_any_word_is_something(word: str) -> None:
    as_kubernetes(word)
