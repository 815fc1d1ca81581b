"""YAML text to plain values with the place of each, refusing whatever two YAML readers could understand differently.

Works on PyYAML's events, not on its constructor: nothing is ever built from a tag, nesting is counted before it is
followed, and the line and column of every key and value are kept. Strings, whole numbers, true and false, dates,
lists and mappings are all there is.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal

import yaml

from pgbearer.config.problems import KeyPath, Problem
from pgbearer.config.yaml_kubernetes import as_kubernetes, key_of

__all__ = [
    "MAX_DEPTH",
    "MAX_ITEMS",
    "MAX_NODES",
    "MAX_PROBLEMS",
    "Budget",
    "Document",
    "Position",
    "is_text",
    "parse_documents",
    "parse_yaml",
]

MAX_DEPTH = 16
"""Nesting beyond this is refused; the deepest setting stands at 6."""
MAX_NODES = 250_000
"""Values in all files of a reading: 10,000 rules of 25 values each, in about 100 MiB and a second. What is refused must
not cost more than that either, for the service reads it beside its logins."""
MAX_ITEMS = 12_000
"""Entries of one list or one mapping; of rules, so many in all files together. We test and measure 10,000 rules."""
MAX_PROBLEMS = 1000
"""After so many nobody reads on, and neither do we."""

Position = tuple[int, int]
"""Line and column, both from 1."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads 10,000 rules ten times faster

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]+(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
# Booleans and numbers of YAML 1.1 or 1.2 but not of both, or not written the one way we read:
# https://yaml.org/type/bool.html, https://yaml.org/type/int.html, https://yaml.org/type/float.html
_AMBIGUOUS = re.compile(
    r"(?i:y|n|yes|no|on|off|true|false)"
    r"|[-+]?0[0-9_]+|[-+]?0[box][0-9a-fA-F_]+"  # octal and other bases
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])++(?:\.[0-9_]*)?"  # sexagesimal: 1:30 is 90; megabytes of it, and no way back
    r"|[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|[-+]?\.[0-9_]+(?:[eE][-+]?[0-9]+)?"  # floats, 1_000
    r"|[-+]?\.(?i:inf)|\.(?i:nan)"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?|="  # dates that are none
)


@dataclass(slots=True)
class Document:
    """A file as plain values: dict, tuple, str, int, bool, date, datetime or None.

    `values` and `keys` give the place of each value and of each mapping key; `problems` what was refused on the way.
    """

    value: Any = None
    values: dict[KeyPath, Position] = field(default_factory=dict)
    keys: dict[KeyPath, Position] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def position(self, path: KeyPath) -> Position | None:
        """Where the value at `path` stands, or else the key of the nearest thing around it that the file has."""
        if path in self.values:
            return self.values[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.keys.get(path) or self.values.get(path)


@dataclass(slots=True)
class Budget:
    """What the files of one reading may still hold, together; each takes from it what it has."""

    nodes: int = MAX_NODES
    problems: int = MAX_PROBLEMS


def parse_yaml(text: str, budget: Budget | None = None) -> Document:
    """Read one YAML document. Never raises for what the text holds: see `Document.problems`.

    Args:
        text: of the file.
        budget: what it may hold, and others after it; None: as much as one file alone.
    """
    reader = _Reader(budget or Budget())
    _read(reader, text, reader.read)
    return reader.document


def parse_documents(text: str, budget: Budget | None = None, *, depth: int = MAX_DEPTH) -> list[Document]:
    """Read a stream of Kubernetes' manifests, which others write and other programs read.

    As `parse_yaml`, but what readers could understand differently is a notice instead of an error, and its value what
    Kubernetes takes it for; dates are text, and floats are there. What follows a document that cannot be read to its
    end is not read.

    Args:
        text: of the stream; one without a document gives none.
        budget: what it may hold, and others after it; None: as much as one file alone.
        depth: nesting beyond this is refused.
    """
    reader = _Reader(budget or Budget(), depth=depth, ambiguous="notice")
    documents: list[Document] = []
    _read(reader, text, lambda events: reader.read_all(events, documents))
    if not documents and reader.document.problems:  # not even the first one began
        documents.append(reader.document)
    return documents


def is_text(plain: str) -> bool:
    """Whether `plain`, not quoted, is read as the text that it is, by every reader alike. Pure."""
    return isinstance(value := _plain(plain), str) and value == plain


def _read(reader: "_Reader", text: str, read: Callable[[Iterator[Any]], None]) -> None:
    try:
        read(iter(yaml.parse(text, Loader=_Loader)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = _where(mark) if mark else (1, 1)
        tab = text.split("\n")[line - 1 :][:1] and text.split("\n")[line - 1][column - 1 :].startswith("\t")
        said = "a tab does not indent; write spaces" if tab else error.problem or error.context
        reader.refuse((), (line, column), f"not YAML: {said}")
    except yaml.YAMLError as error:
        reader.refuse((), (1, 1), f"not YAML: {str(error).splitlines()[0]}")
    except _GiveUpError:
        pass  # the reason is among the problems


class _GiveUpError(Exception):
    """Reading on would follow the file where it must not lead: too deep, too many, a second document."""


class _Reader:
    """Builds the document from events; recursion is bounded by MAX_DEPTH."""

    def __init__(
        self, budget: Budget, *, depth: int = MAX_DEPTH, ambiguous: Literal["error", "notice"] = "error"
    ) -> None:
        self.document = Document()
        self._budget = budget
        self._depth = depth
        self._ambiguous = ambiguous
        self._events: Iterator[Any] = iter(())

    def read(self, events: Iterator[Any]) -> None:
        self._events = events
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._give_up((), event, "a second document begins here; one file holds one")
                self.document.value = self._node((), next(events), 0)
        if not documents:
            self.refuse((), (1, 1), "the file is empty")

    def read_all(self, events: Iterator[Any], into: list[Document]) -> None:
        self._events = events
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.document = Document()
                into.append(self.document)
                self.document.value = self._node((), next(events), 0)

    def refuse(
        self,
        path: KeyPath,
        position: Position,
        message: str,
        hint: str | None = None,
        severity: Literal["error", "notice"] = "error",
    ) -> None:
        line, column = position
        problem = Problem(path=path, line=line, column=column, message=message, hint=hint, severity=severity)
        self.document.problems.append(problem)
        self._budget.problems -= 1

    def _give_up(self, path: KeyPath, event: Any, message: str) -> None:
        self.refuse(path, _where(event.start_mark), message)
        raise _GiveUpError

    def _admit_item(self, path: KeyPath, before: int, event: Any) -> None:
        if before >= MAX_ITEMS:
            self._give_up(path, event, f"more than {MAX_ITEMS} entries in one list or mapping")

    def _node(self, path: KeyPath, event: Any, depth: int) -> Any:
        self.document.values[path] = position = _where(event.start_mark)
        self._budget.nodes -= 1
        if depth > self._depth:
            self._give_up(path, event, "nested too deeply")
        if self._budget.nodes < 0:
            self._give_up(path, event, f"more than {MAX_NODES} values, all files together")
        if self._budget.problems <= 0:
            self._give_up(path, event, "too many problems to read on")
        if isinstance(event, yaml.AliasEvent):
            self.refuse(
                path, position, f'alias "*{event.anchor}" is not allowed', "write the value out where it is used"
            )
            return None
        if event.anchor is not None:
            self.refuse(
                path, position, f'anchor "&{event.anchor}" is not allowed', "write the value out where it is used"
            )
        if event.tag is not None:
            self.refuse(path, position, f'tag "{event.tag}" is not allowed', "quote the value if it is text")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        return self._scalar(path, position, event)

    def _sequence(self, path: KeyPath, depth: int) -> tuple[Any, ...]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            self._admit_item(path, len(items), event)
            items.append(self._node((*path, len(items)), event, depth + 1))
        return tuple(items)

    def _mapping(self, path: KeyPath, depth: int) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            self._admit_item(path, len(items), event)
            key = self._key(path, event)
            inner = (*path, key)
            if key in items:
                self.refuse(inner, _where(event.start_mark), f'the key "{key}" stands here twice')
            self.document.keys[inner] = _where(event.start_mark)
            items[key] = self._node(inner, next(self._events), depth + 1)
        return items

    def _key(self, path: KeyPath, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self._give_up(path, event, "a key must be plain text")
        position = _where(event.start_mark)
        key: str = event.value
        if key == "<<" and event.implicit[0]:
            self.refuse((*path, key), position, "merge keys (<<) are not allowed", "write the keys out")
            return key
        said = len(self.document.problems)
        if not isinstance(value := self._scalar((*path, key), position, event), str):
            if len(self.document.problems) == said:
                self.refuse((*path, key), position, f'the key "{key}" is not text', "quote it", self._ambiguous)
            return key_of(value, key) if self._ambiguous == "notice" else key
        return key

    def _scalar(self, path: KeyPath, position: Position, event: Any) -> Any:
        text: str = event.value
        if not event.implicit[0]:  # quoted, or a block: text, whatever it looks like
            return text
        value = _plain(text)
        taken = as_kubernetes(text) if self._ambiguous == "notice" else text
        if value is _REFUSED or (isinstance(value, str) and not isinstance(taken, str)):
            message = f"bare {text!r} means different things to different YAML readers"
            self.refuse(path, position, message, 'quote it: "..."', self._ambiguous)
            return taken
        return taken if self._ambiguous == "notice" else value


_REFUSED = object()


def _plain(text: str) -> Any:
    """An unquoted scalar as a value, or _REFUSED."""
    if text in _NULLS:
        return None
    if text in {"true", "false"}:
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        if _MOMENT.fullmatch(text):
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        return _REFUSED
    return _REFUSED if _AMBIGUOUS.fullmatch(text) else text


def _where(mark: Any) -> Position:
    return mark.line + 1, mark.column + 1
