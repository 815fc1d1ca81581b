"""Whether one pattern of names lies within another: globs with ``*`` and ``?``, templates whose fields are any text."""

import re
from collections.abc import Collection

__all__ = ["all_within", "covers", "may_meet", "within"]

_FIELD = re.compile(r"\{[^{}]*\}")


def covers(outer: str, inner: str) -> bool:
    """Whether every name that `inner` can mean fits the glob `outer`.

    Never says yes wrongly; it may say no to what only a proof by cases could show. Takes time proportional to the
    product of their lengths.
    """
    inner = _FIELD.sub("*", inner)
    at = star = mark = 0
    position, seen = 0, False
    while position < len(inner):
        if at < len(outer) and outer[at] == "*":
            seen, star, mark, at = True, at, position, at + 1
        elif at < len(outer) and _fits(outer[at], inner[position]):
            at, position = at + 1, position + 1
        elif seen:
            mark += 1
            position, at = mark, star + 1
        else:
            return False
    return not outer[at:].strip("*")


def within(inner: str, outer: Collection[str]) -> bool:
    """Whether every name that `inner` can mean fits one and the same pattern of `outer`."""
    return "*" in outer or inner in outer or any(covers(pattern, inner) for pattern in outer)


def all_within(inner: Collection[str], outer: Collection[str]) -> bool:
    """Whether that holds for all of `inner`; an empty collection means every name."""
    return not outer or "*" in outer or (bool(inner) and all(within(name, outer) for name in inner))


def may_meet(one: Collection[str], other: Collection[str]) -> bool:
    """Whether some name may fit a pattern of both. Never says no wrongly; two globs are not looked into."""
    return any(_may_meet(_FIELD.sub("*", left), _FIELD.sub("*", right)) for left in one for right in other)


def _may_meet(left: str, right: str) -> bool:
    return covers(left, right) or covers(right, left) or (_is_open(left) and _is_open(right))


def _is_open(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def _fits(pattern: str, character: str) -> bool:
    """Whether one character of a glob takes one of another: ``*`` stands for more than one and fits none of them."""
    return character != "*" and pattern in ("?", character)
