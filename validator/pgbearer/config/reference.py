"""Every setting as data, so that the reference page is generated and cannot lie."""

import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import UnionType
from typing import Any

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pgbearer.config.settings import Duration, Section, Settings

__all__ = ["Setting", "duration_text", "reference"]

_DURATION = Duration.__metadata__[0]  # type: ignore[attr-defined]
_NAMES = {str: "text", int: "whole number", bool: "true or false", Path: "path", date: "date", datetime: "moment"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One key that pgbearer.yaml may hold."""

    path: str
    """With ``NAME`` for a name of the user's choice and ``[]`` for each item of a list: ``issuers.NAME.audience``."""
    type: str
    default: str | None
    """As it would be written; None if the setting is required, or has no value unless given."""
    required: bool
    bounds: str
    meaning: str


def reference(section: type[Section] = Settings, above: str = "") -> Iterator[Setting]:
    """Every setting below `section`, in the order of the file."""
    for name, field in section.model_fields.items():
        path = above + (field.alias or name)
        inner, suffix = _inner(field.annotation)
        if inner is None:
            yield Setting(
                path, _type(field), _default(field), field.is_required(), _bounds(field), _line(field.description)
            )
            continue
        meaning = _line(field.description or inner.__doc__)
        yield Setting(path + suffix, "section", None, field.is_required(), "", meaning)
        yield from reference(inner, f"{path}{suffix}.")


def duration_text(seconds: int) -> str:
    """Seconds as pgbearer.yaml writes them, in the largest unit that fits: 3600 is ``1h``."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def is_duration(field: FieldInfo) -> bool:
    """Whether the field is a duration, which is written as text."""
    return _DURATION in _metadata(field)


def _metadata(field: FieldInfo) -> list[Any]:
    """Bounds and validators of the field, also those inside ``... | None``."""
    inside = [getattr(option, "__metadata__", ()) for option in typing.get_args(field.annotation)]
    return [*field.metadata, *(item for items in inside for item in _flat(items))]


def _flat(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        yield from _flat(item.metadata) if isinstance(item, FieldInfo) else (item,)


def _inner(annotation: Any) -> tuple[type[Section] | None, str]:
    """The section that a setting holds, and what stands between their paths."""
    for option in _options(annotation):
        arguments = typing.get_args(option)
        if typing.get_origin(option) is dict and _is_section(arguments[1]):
            return arguments[1], ".NAME"
        if typing.get_origin(option) is tuple and _is_section(arguments[0]):
            return arguments[0], "[]"
        if _is_section(option):
            return option, ""
    return None, ""


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def _options(kind: Any) -> Iterator[Any]:
    """The members of a union, without Annotated around them and without None."""
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) in {typing.Union, UnionType}:
        for option in typing.get_args(kind):
            yield from _options(option)
    elif kind is not type(None):
        yield kind


def _type(field: FieldInfo) -> str:
    return "duration" if is_duration(field) else " or ".join(_type_of(option) for option in _options(field.annotation))


def _type_of(kind: Any) -> str:
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if typing.get_origin(kind) is tuple:
        return "list of " + " or ".join(_type_of(option) for option in _options(arguments[0]))
    if typing.get_origin(kind) is dict:
        return "mapping of names to " + " or ".join(_type_of(option) for option in _options(arguments[1]))
    return _NAMES[kind]


def _default(field: FieldInfo) -> str | None:
    value = field.get_default(call_default_factory=True, validated_data={})
    if field.is_required() or value is None or value in ((), {}):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if is_duration(field):
        return duration_text(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(value) + "]"
    return "" if isinstance(value, BaseModel) else str(value)


def _bounds(field: FieldInfo) -> str:
    shown = duration_text if is_duration(field) else str
    metadata = _metadata(field)
    parts = []
    lowest = [item.ge for item in metadata if isinstance(item, Ge)]
    highest = [item.le for item in metadata if isinstance(item, Le)]
    if lowest and highest:
        parts.append(f"{shown(max(lowest))} to {shown(min(highest))}")  # type: ignore[arg-type, type-var]
    parts += [f"at least {item.min_length}" for item in metadata if isinstance(item, MinLen) and item.min_length > 1]
    parts += [f"at most {item.max_length} characters" for item in metadata if isinstance(item, MaxLen)]
    return ", ".join(parts)


def _line(text: str | None) -> str:
    return " ".join((text or "").split())
