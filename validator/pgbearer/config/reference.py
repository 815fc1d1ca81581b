"""Every setting as data, so that the reference page is generated and cannot lie."""

import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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
        if not inner:
            yield Setting(
                path, _type(field), _default(field), field.is_required(), _bounds(field), _line(field.description)
            )
            continue
        meaning = _line(field.description or inner[0].__doc__)
        yield Setting(path + suffix, "section", None, field.is_required(), "", meaning)
        yield from _each_once(inner, f"{path}{suffix}.")


def duration_text(seconds: int) -> str:
    """Seconds as pgbearer.yaml writes them, in the largest unit that fits: 3600 is ``1h``."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def is_duration(field: FieldInfo) -> bool:
    """Whether the field is a duration, which is written as text."""
    return _DURATION in _metadata(field)


def _each_once(kinds: Sequence[type[Section]], above: str) -> Iterator[Setting]:
    """The settings of a section of one of several kinds, told apart by their ``type``; what all have comes first."""
    found: dict[str, list[tuple[str, Setting]]] = {}
    for kind in kinds:
        name = _type(kind.model_fields["type"]) if len(kinds) > 1 else ""
        for setting in reference(kind, above):
            found.setdefault(setting.path, []).append((name, setting))
    for same in sorted(found.values(), key=len, reverse=True):
        names, (setting, *_) = zip(*same, strict=True)
        if len(same) < len(kinds):
            setting = replace(setting, meaning=f"With `type` {' or '.join(names)}: {setting.meaning}")
        elif len(kinds) > 1 and setting.path == f"{above}type":
            setting = replace(setting, type=", ".join(names))
        yield setting


def _metadata(field: FieldInfo) -> list[Any]:
    """Bounds and validators of the field, also those inside ``... | None``."""
    inside = [getattr(option, "__metadata__", ()) for option in typing.get_args(field.annotation)]
    return [*field.metadata, *(item for items in inside for item in _flat(items))]


def _flat(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        yield from _flat(item.metadata) if isinstance(item, FieldInfo) else (item,)


def _inner(annotation: Any) -> tuple[tuple[type[Section], ...], str]:
    """The section that a setting holds, of one of these kinds, and what stands between their paths."""
    for option in _options(annotation):
        arguments = typing.get_args(option)
        if typing.get_origin(option) is dict and (found := _sections(arguments[1])):
            return found, ".NAME"
        if typing.get_origin(option) is tuple and (found := _sections(arguments[0])):
            return found, "[]"
    return _sections(annotation), ""


def _sections(annotation: Any) -> tuple[type[Section], ...]:
    return tuple(option for option in _options(annotation) if _is_section(option))


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
