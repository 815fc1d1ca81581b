"""From a table of TOML to a typed value: every problem at once, each with its path, and a hint where a word is near."""

import difflib
import typing
from collections.abc import Iterable, Iterator, Mapping
from types import UnionType
from typing import Any, Final, TypeVar

import msgspec

from pgbearer.client.plain import plain

__all__ = ["near", "problems_in"]

S = TypeVar("S", bound=msgspec.Struct)

_MOST: Final = 100


def problems_in(value: object, kind: type[msgspec.Struct], path: str = "") -> list[str]:
    """What keeps `value` from being a `kind`, the first hundred; nothing if `msgspec.convert` would take it."""
    found = []
    for problem in _table(value, kind, path):
        found.append(problem)
        if len(found) == _MOST:
            found.append("and more like these")
            break
    return found


def near(word: str, known: Iterable[str]) -> str:
    """``; did you mean "..."?`` with the known word nearest to `word`, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def _table(value: object, kind: type[msgspec.Struct], path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path}: must be a table"
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    tag = kind.__struct_config__.tag_field
    for key in value:
        if key not in fields and key != tag:
            yield f"{_below(path, key)}: unknown key{near(key, fields)}"
    for name, field in fields.items():
        if name in value:
            yield from _value(value[name], field.type, _below(path, name))
        elif field.required:
            yield f"{_below(path, name)}: is missing"


def _value(value: object, kind: Any, path: str) -> Iterator[str]:
    options = [option for option in _options(kind) if isinstance(option, type) and issubclass(option, msgspec.Struct)]
    if len(options) > 1:
        yield from _tagged(value, options, path)
    elif options:
        yield from _table(value, options[0], path)
    elif typing.get_origin(kind) is dict and isinstance(value, Mapping):
        for name, one in value.items():
            yield from _value(one, typing.get_args(kind)[1], _below(path, name))
    else:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            yield f"{path}: {plain(_lower(str(error)))}"


def _tagged(value: object, options: list[type[msgspec.Struct]], path: str) -> Iterator[str]:
    """One of several tables, told apart by a key."""
    tag_field = str(options[0].__struct_config__.tag_field)
    by_tag = {str(option.__struct_config__.tag): option for option in options}
    tag = value.get(tag_field) if isinstance(value, Mapping) else None
    if isinstance(tag, str) and tag in by_tag:
        yield from _table(value, by_tag[tag], path)
        return
    kinds = ", ".join(by_tag)
    hint = near(tag, by_tag) if isinstance(tag, str) else ""
    yield f"{_below(path, tag_field)}: must be one of {kinds}{hint}"


def _options(kind: Any) -> Iterator[Any]:
    """The members of a union."""
    if typing.get_origin(kind) in {typing.Union, UnionType}:
        for option in typing.get_args(kind):
            yield from _options(option)
    else:
        yield kind


def _below(path: str, key: str) -> str:
    shown = plain(str(key), limit=100)
    return f"{path}.{shown}" if path else shown


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
