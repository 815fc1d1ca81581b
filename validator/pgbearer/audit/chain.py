"""The audit's lines: each carries its number and the hash of the line before, so that a change anywhere shows.

A chain proves that nothing inside it was altered, removed or put in. It cannot prove that nothing was cut off its end,
nor stop whoever may write the file from making all of it anew; for that its heads must leave the host.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

__all__ = ["BEGINNING", "Chain", "Extent", "Finding", "digest", "encode_line", "extent_of", "verify_chain"]

_BEGUN: Final = re.compile(rb'\0+|\{"seq":(?P<seq>[0-9]{1,18})(?:,[^\n]*)?')
"""What `Chain.line` writes, cut off somewhere; what is cut off earlier still is matched by `_BARELY_BEGUN`."""
_BARELY_BEGUN: Final = b'{"seq":'
BEGINNING: Final = "0" * 64
"""What the first line of a chain has in place of a hash."""

_ENCODER: Final = msgspec.json.Encoder()


def encode_line(entry: Mapping[str, Any]) -> bytes:
    """One line of JSON, newline included, that shows what it says.

    Control, bidi and invisible characters (all that `str.isprintable` says no to) are written as escapes, so that no
    value can end its line or reorder it on a screen; the JSON still holds them exactly.
    """
    try:
        text = _ENCODER.encode(entry).decode()
    except UnicodeEncodeError:  # half of a surrogate pair
        text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
    if not text.isprintable():
        text = "".join(c if c.isprintable() else _escape(c) for c in text)
    return text.encode() + b"\n"


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[i : i + 2]):04x}" for i in range(0, len(units), 2))


def digest(line: bytes) -> str:
    """SHA-256 in hex of a line without its newline."""
    return hashlib.sha256(line.removesuffix(b"\n")).hexdigest()


@dataclass(slots=True)
class Chain:
    """Where a chain stands: the number and hash of its last line. Used from one thread."""

    sequence: int = 0
    head: str = BEGINNING
    torn: bool = False
    """The last line is incomplete (a crash or a full disk cut it); the next one says so."""

    @classmethod
    def after(cls, tail: bytes) -> "Chain":
        """The chain that continues after `tail`, the last bytes of a file.

        Raises:
            ValueError: no line of the tail is a line of a chain.
        """
        if not tail:
            return cls()
        lines = tail.removesuffix(b"\n").split(b"\n")
        sequences = (line["seq"] for line in map(_parse, reversed(lines)) if line is not None)
        sequence = next(sequences, None)
        if sequence is None:
            sequence = _before_torn(tail)
        return cls(sequence=sequence, head=digest(lines[-1]), torn=not tail.endswith(b"\n"))

    def line(self, entry: Mapping[str, Any]) -> bytes:
        """The next line, not yet counted: `accept` it once it is written."""
        link = {"seq": self.sequence + 1, "prev": self.head}
        if self.torn:
            return b"\n" + encode_line({**link, "torn": True, **entry})
        return encode_line({**link, **entry})

    def accept(self, line: bytes) -> None:
        """`line` is written: the next one follows it."""
        self.sequence += 1
        self.head = digest(line.removeprefix(b"\n"))
        self.torn = False

    def tear(self, part: bytes) -> None:
        """Only `part` of the line was written and cannot be taken back."""
        self.head = digest(part.removeprefix(b"\n"))
        self.torn = True


@dataclass(frozen=True, slots=True)
class Finding:
    """A place where a chain does not hold, by line number counted from 1 over all files."""

    line: int
    what: str


def verify_chain(lines: Iterable[bytes]) -> Iterator[Finding]:
    """Go through the lines of a chain in order, of one file or of several (oldest first), and yield every break.

    The first line is taken as it is: what came before it is in an older file (`extent_of` tells whether anything did).
    """
    head: str | None = None
    sequence: int | None = None
    torn: int | None = None
    for number, line in enumerate(lines, 1):
        entry = _parse(line)
        if torn is not None and not (entry and entry.get("torn") is True):
            yield Finding(torn, "is not a line of the chain")
        torn = number if entry is None else None
        if entry is not None:
            if head is not None and entry["prev"] != head:
                yield Finding(number, "does not follow the line before it: one was changed, removed or put in")
            elif sequence is not None and entry["seq"] != sequence + 1:
                yield Finding(number, f"has number {entry['seq']} after {sequence}")
            sequence = entry["seq"]
        head = digest(line)
    if torn is not None:
        yield Finding(torn, "is cut short, and nothing follows it")


@dataclass(frozen=True, slots=True)
class Extent:
    """Which part of a chain some lines are. It is whole at its beginning only if `first` is 1."""

    first: int
    last: int
    head: str
    """SHA-256 of the last line: noted elsewhere, it vouches for everything up to there."""


def extent_of(lines: Sequence[bytes]) -> Extent | None:
    """From which number to which these lines go; None if none of them is a line of a chain."""
    numbers = [entry["seq"] for line in lines if (entry := _parse(line)) is not None]
    return Extent(numbers[0], numbers[-1], digest(lines[-1])) if numbers else None


def _before_torn(tail: bytes) -> int:
    """The number before the only line of a file, which a crash cut short or left as the zeros of a file system.

    Raises:
        ValueError: it does not begin as a line of a chain does.
    """
    begun = _BEGUN.fullmatch(tail)
    if begun is None and not _BARELY_BEGUN.startswith(tail):
        raise ValueError("not an audit file")
    return max(0, int(begun["seq"]) - 1) if begun and begun["seq"] else 0


def _parse(line: bytes) -> dict[str, Any] | None:
    """The entry, or None if the line is not one of a chain."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or type(entry.get("seq")) is not int or type(entry.get("prev")) is not str:
        return None
    return entry
