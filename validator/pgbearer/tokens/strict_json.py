"""JSON as tokens, key sets and metadata may use it: one meaning for every parser that reads it."""

import json
import math
import re
from collections.abc import Mapping
from typing import Final, NoReturn

__all__ = ["NotStrictJsonError", "parse_object"]

_MAX_DEPTH: Final = 16
_MAX_CONTAINERS: Final = 2048
"""Objects and lists, or brackets in strings: more than any token of a person has; bounds what junk costs."""
# A string counts as one step and always matches (to the end if it is not closed), so that the scan stays linear.
_STEPS: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


class NotStrictJsonError(ValueError):
    """The text is not a JSON object that every parser reads alike. The message quotes nothing of the text."""


def parse_object(data: bytes) -> Mapping[str, object]:
    """The JSON object in `data`: UTF-8, no duplicate members, no NaN or infinity, no lone surrogates, depth <= 16.

    Two parsers that differ on any of these would read two different tokens (RFC 7515 section 4, RFC 8725 section 2.6).

    Raises:
        NotStrictJsonError: if it is anything else.
    """
    try:
        text = data.decode("utf-8")
        _bound_depth(text)
        value = _DECODER.decode(text)
        if "\\u" in text:
            _refuse_surrogates(value)
    except NotStrictJsonError:
        raise
    except ValueError:  # UnicodeDecodeError, JSONDecodeError, and integers of thousands of digits
        raise NotStrictJsonError("not JSON in UTF-8") from None  # the original quotes the text
    if not isinstance(value, dict):
        raise NotStrictJsonError("not a JSON object")
    return value


def _bound_depth(text: str) -> None:
    """Refuse deep nesting before the parser recurses; text with few brackets cannot nest deeply."""
    containers = text.count("[") + text.count("{")
    if containers <= _MAX_DEPTH:
        return
    if containers > _MAX_CONTAINERS:
        raise NotStrictJsonError(f"more than {_MAX_CONTAINERS} objects and lists")
    depth = 0
    for match in _STEPS.finditer(text):
        mark = match[0]
        if mark in ("[", "{"):
            depth += 1
            if depth > _MAX_DEPTH:
                raise NotStrictJsonError(f"nested more than {_MAX_DEPTH} deep")
        elif mark in ("]", "}"):
            depth -= 1


def _refuse_surrogates(value: object) -> None:
    match value:
        case str():
            if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
                raise NotStrictJsonError("a lone surrogate in a string")
        case list():
            for item in value:
                _refuse_surrogates(item)
        case dict():
            for name, item in value.items():
                _refuse_surrogates(name)
                _refuse_surrogates(item)
        case _:
            pass


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrictJsonError("a member occurs twice")
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise NotStrictJsonError("a number out of range")
    return number


def _no_constant(_name: str) -> NoReturn:
    raise NotStrictJsonError("NaN or Infinity")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_without_duplicates, parse_float=_finite, parse_constant=_no_constant
)
