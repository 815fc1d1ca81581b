"""JSON from outside, read strictly: bounded depth, no duplicate of a member that is used, exact types, no coercion.

`json` itself is lenient in each of these, so every reader of a peer's JSON in this room goes through `parse_object`.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar

__all__ = ["Members", "StrictError", "parse_object"]

MAX_DEPTH: Final = 8
MAX_TEXT_BYTES: Final = 2048
MAX_LIST_ITEMS: Final = 256

_T = TypeVar("_T")
_MISSING: Final = object()

# Matches every string, to the end if it is not closed, so that the scan stays linear whatever the input.
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


class StrictError(ValueError):
    """What was read is not what it must be; the message names the member and never holds a value."""


class Members:
    """One JSON object: typed access to the members that are known, all others ignored.

    Not a dict, because a dict has already forgotten which member came twice. Every method raises `StrictError`
    for a member that is absent (unless it may be), duplicated, or of another type than the one asked for.
    """

    __slots__ = ("_path", "_twice", "_values")

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self._path = ""
        self._values = dict(pairs)
        self._twice = frozenset() if len(self._values) == len(pairs) else _twice(pairs)

    def text(self, name: str, *, limit: int = MAX_TEXT_BYTES) -> str:
        """A string of at most `limit` bytes of UTF-8, without NUL (which no name in PostgreSQL can hold)."""
        return self._text(self._get(name, str), name, limit)

    def optional_text(self, name: str) -> str | None:
        """A string, or None if the member is null or absent."""
        return self._optional(name, self.text)

    def integer(self, name: str, *, least: int = 0, most: int = 2**63 - 1) -> int:
        """An integer between `least` and `most`; a bool or a float is none."""
        value: int = self._get(name, int)
        if not least <= value <= most:
            self._refuse(name, "is out of range")
        return value

    def optional_integer(self, name: str, *, most: int = 2**63 - 1) -> int | None:
        """A non-negative integer, or None if the member is null or absent."""
        return self._optional(name, lambda known: self.integer(known, most=most))

    def boolean(self, name: str) -> bool:
        """True or false."""
        value: bool = self._get(name, bool)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings, at most 256 of them."""
        values: list[Any] = self._get(name, list)
        if len(values) > MAX_LIST_ITEMS or any(type(value) is not str for value in values):
            self._refuse(name, "is not a short list of strings")
        return tuple(self._text(value, name, MAX_TEXT_BYTES) for value in values)

    def members(self, name: str) -> "Members":
        """An object."""
        value: Members = self._get(name, Members)
        value._path = f"{self._path}{name}."
        return value

    def optional_members(self, name: str) -> "Members | None":
        """An object, or None if the member is null or absent."""
        return self._optional(name, self.members)

    def _get(self, name: str, kind: type) -> Any:
        if name in self._twice:
            self._refuse(name, "is there more than once")
        value = self._values.get(name, _MISSING)
        if type(value) is not kind:  # isinstance() would take True for an integer
            self._refuse(name, "is missing" if value is _MISSING else "is of the wrong type")
        return value

    def _optional(self, name: str, read: Callable[[str], _T]) -> _T | None:
        nothing = self._values.get(name) is None and name not in self._twice
        return None if nothing else read(name)

    def _text(self, value: str, name: str, limit: int) -> str:
        try:
            size = len(value) if value.isascii() else len(value.encode())
        except UnicodeEncodeError:  # "\ud800": JSON can write it, UTF-8 cannot
            self._refuse(name, "holds half a surrogate pair")
        if size > limit:
            self._refuse(name, "is too long")
        if "\0" in value:
            self._refuse(name, "holds a NUL")
        return value

    def _refuse(self, name: str, why: str) -> NoReturn:
        raise StrictError(f"{self._path}{name} {why}")


def parse_object(body: bytes) -> Members:
    """Read one JSON object (RFC 8259), at most 8 levels deep.

    Raises:
        StrictError: not UTF-8, not JSON, nested too deeply, NaN or Infinity, or not an object.
    """
    _bound_depth(body)
    try:
        value = json.loads(body.decode(), object_pairs_hook=Members, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise StrictError("not UTF-8") from None  # the original quotes the body, which holds a token
    except ValueError:
        raise StrictError("not JSON") from None
    if not isinstance(value, Members):
        raise StrictError("not a JSON object")
    return value


def _twice(pairs: list[tuple[str, Any]]) -> frozenset[str]:
    times = Counter(name for name, _ in pairs)
    return frozenset(name for name, count in times.items() if count > 1)


def _bound_depth(body: bytes) -> None:
    """Count brackets before the parser recurses into them."""
    # Without escapes every second piece between quotes is outside a string.
    outside = _STRING.sub(b"", body) if b"\\" in body else b"".join(body.split(b'"')[::2])
    depth = 0
    for bracket in outside.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise StrictError("nested too deeply")


def _no_constant(_name: str) -> NoReturn:
    raise StrictError("not JSON")
