"""Plain values to `Settings`, and what pydantic finds wrong in our own words."""

import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from types import UnionType
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pgbearer.config.problems import KeyPath, Problem, did_you_mean
from pgbearer.config.reference import duration_text
from pgbearer.config.settings import Section, Settings
from pgbearer.config.yaml_file import MAX_PROBLEMS, Document

__all__ = ["Decoded", "decode", "keys_of"]

_WORDS = {
    "missing": "required, but not given",
    "string_type": "must be text; quote it if it looks like a number, a date, true or false",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list: [one, two]",
    "dict_type": "must be a mapping of names to values",
    "model_type": "must be a mapping of keys to values",
    "date_type": "must be a date such as 2027-01-31",
    "datetime_type": "must be a moment such as 2027-01-31T12:00:00Z",
}
_BOUNDS = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le")}


_MOST_ERRORS = 20_000
"""Of pydantic's, which makes a list of all or of none: beyond this, the list costs more than what it says is worth."""
_FIRST_RULES = 100
_FEW_KEYS = 6
"""So many are shown to who wrote something else in place of a section, or of a key; docs/settings.md has the others."""

_ALONE = frozenset({"audit", "admin", "state", "http", "limits"})
"""Sections of which no rule, issuer or decider knows anything,"""
_COMPARED = frozenset({("admin", "socket"), ("limits", "asking")})
"""but for these keys: without them, others would be found wrong that are not."""

S = typing.TypeVar("S", bound=Section)


class Decoded(typing.NamedTuple, typing.Generic[S]):
    """What could be decoded. `settings` is for use only if there is no problem."""

    settings: S | None
    problems: tuple[Problem, ...]
    rules: tuple[int, ...]
    """For each of ``settings.rules`` its index in the file: rules that do not decode are left out, so that the others
    can still be looked at."""


def decode(document: Document, kind: type[S]) -> Decoded[S]:
    """Decode a whole file of this `kind`, and as much of it as can be if only some of it is wrong.

    That is if only rules are wrong, and keys that nothing else depends on: the other rules are decoded all the same.
    What the YAML reader has refused is not complained of a second time.
    """
    decoded = _decode(document, kind)
    refused = {problem.path for problem in document.problems}
    return decoded._replace(
        problems=tuple(
            problem
            for problem in decoded.problems
            if not any(problem.path[:length] in refused for length in range(len(problem.path) + 1))
        )
    )


def keys_of(path: KeyPath, kind: type[Section] = Settings) -> tuple[str, ...] | None:
    """The keys that a section at `path` of a file of this `kind` may have, or None if there is no section."""
    here: Any = kind
    for part in path:
        here = _step(here, part)
    sections = [option for option in _options(here) if isinstance(option, type) and issubclass(option, Section)]
    keys = (field.alias or name for section in sections for name, field in section.model_fields.items())
    return tuple(dict.fromkeys(keys)) if sections else None


def _decode(document: Document, kind: type[S]) -> Decoded[S]:
    if not isinstance(document.value, dict):
        wrong_shape = Problem(path=(), message="must be a mapping of keys to values")
        return Decoded(None, () if document.problems else (wrong_shape,), ())  # reading may have given up before it
    settings, problems = _validate(kind, document.value, document)
    rules = document.value.get("rules")
    if not isinstance(rules, tuple):
        return Decoded(settings, problems, ())
    indices = tuple(range(len(rules)))
    if len(problems) > MAX_PROBLEMS:  # not all of them are told, so nobody knows which rules are good
        return Decoded(None, problems, ())
    if settings is None:
        wrong = {problem.path[1] for problem in problems if problem.path[:1] == ("rules",) and len(problem.path) > 1}
        indices = tuple(index for index in indices if index not in wrong)
        value = {**document.value, "rules": tuple(rules[index] for index in indices)}
        settings, _ = _validate(kind, _without(value, problems) if kind is Settings else value, document)
    return Decoded(settings, problems, indices)


def _without(value: dict[str, Any], problems: Iterable[Problem]) -> dict[str, Any]:
    """The file without wrong keys that nothing else is held against, so that everything else can still be looked at."""
    for problem in problems:
        match problem.path:
            case (str(section), str(key), *_) if section in _ALONE and (section, key) not in _COMPARED:
                there = value.get(section)
                if isinstance(there, dict):
                    value = {**value, section: {name: one for name, one in there.items() if name != key}}
    return value


def _validate(kind: type[S], value: Mapping[str, Any], document: Document) -> tuple[S | None, tuple[Problem, ...]]:
    try:
        return kind.model_validate(value), ()
    except ValidationError as error:
        if error.error_count() > _MOST_ERRORS:
            return None, (*_of_the_first(kind, value, document), _more(error.error_count()))
        found = (_problem(kind, details, document) for details in error.errors(include_url=False)[:MAX_PROBLEMS])
        problems = {(problem.path, problem.message): problem for problem in found}
        if (more := error.error_count() - MAX_PROBLEMS) > 0:
            problems[(), ""] = _more(more)
        return None, tuple(problems.values())


def _of_the_first(kind: type[S], value: Mapping[str, Any], document: Document) -> tuple[Problem, ...]:
    """Problems of a file that has only the first rules of this one."""
    rules = value.get("rules")
    if not isinstance(rules, tuple) or len(rules) <= _FIRST_RULES:
        return ()
    return _validate(kind, {**value, "rules": rules[:_FIRST_RULES]}, document)[1]


def _more(count: int) -> Problem:
    return Problem(path=(), message=f"and {count} more problems like these")


def _problem(section: type[Section], details: ErrorDetails, document: Document) -> Problem:
    path = _path(details, document)
    kind = details["type"]
    if kind == "extra_forbidden":
        word = str(path[-1])
        line, column = document.keys[path]
        known = keys_of(path[:-1], section) or ()
        few = f"the keys here are {', '.join(known)}" if 0 < len(known) <= _FEW_KEYS else None
        hint = did_you_mean(word, known) or few
        return Problem(path=path, message=f'unknown key "{word}"', hint=hint, line=line, column=column)
    if kind == "value_error":
        return Problem(path=path, message=str(details["ctx"]["error"]))
    if kind == "string_pattern_mismatch" and details["ctx"]["pattern"].startswith(("^https://", "^(https|spiffe)://")):
        return Problem(path=path, message="must be an https URL, without query and fragment")
    if kind == "string_pattern_mismatch":
        return Problem(path=path, message=f"must match {details['ctx']['pattern']}")
    if kind == "literal_error":
        hint = did_you_mean(str(details["input"]), re.findall("'([^']*)'", details["ctx"]["expected"]))
        return Problem(path=path, message=f"must be {details['ctx']['expected']}", hint=hint)
    if kind == "model_type" and (keys := keys_of(path, section)):
        hint = f"its keys are {', '.join(keys)}" if len(keys) <= _FEW_KEYS else None
        return Problem(path=path, message=_WORDS[kind], hint=hint)
    if kind in _BOUNDS:
        word, key = _BOUNDS[kind]
        bound = details["ctx"][key]
        shown = duration_text(bound) if isinstance(_value_at(document.value, path), str) else bound
        return Problem(path=path, message=f"must be {word} {shown}")
    return Problem(path=path, message=_WORDS.get(kind) or re.sub(r"^\w+ should", "must", details["msg"]))


def _path(details: ErrorDetails, document: Document) -> KeyPath:
    """Where pydantic saw it, without what it adds of its own (branches of a union, ``[key]``)."""
    location = details["loc"]
    missing = details["type"] == "missing"
    path: KeyPath = ()
    for part in location[:-1] if missing else location:
        if (*path, part) in document.values:
            path = (*path, part)
    return (*path, location[-1]) if missing else path


def _value_at(value: Any, path: KeyPath) -> Any:
    for part in path:
        value = value[part]
    return value


def _step(kind: Any, part: str | int) -> Any:
    """The annotation one step below `kind`."""
    for option in _options(kind):
        if isinstance(option, type) and issubclass(option, Section):
            for name, field in option.model_fields.items():
                if part == (field.alias or name):
                    return field.annotation
        arguments = typing.get_args(option)
        if typing.get_origin(option) is dict:
            return arguments[1]
        if typing.get_origin(option) is tuple:
            return arguments[0]
    return None


def _options(kind: Any) -> Iterator[Any]:
    """The members of a union, without Annotated around them."""
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) in {typing.Union, UnionType}:
        for option in typing.get_args(kind):
            yield from _options(option)
    else:
        yield kind
