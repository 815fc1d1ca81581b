"""The chain holds, and every way of changing it shows."""

import json

import pytest

from pgbearer.audit import BEGINNING, Chain, verify_chain
from pgbearer.audit.chain import Extent, digest, encode_line, extent_of


def written(count: int, chain: Chain | None = None) -> list[bytes]:
    chain = chain or Chain()
    lines = []
    for number in range(count):
        line = chain.line({"n": number})
        chain.accept(line)
        lines.append(line)
    return lines


def findings(lines: list[bytes]) -> list[int]:
    return [finding.line for finding in verify_chain(b"".join(lines).splitlines(keepends=True))]


def test_lines_are_numbered_and_linked_from_the_first() -> None:
    first, second = (json.loads(line) for line in written(2))
    assert (first["seq"], first["prev"]) == (1, BEGINNING)
    assert second["seq"] == 2
    assert second["prev"] != BEGINNING


def test_an_untouched_chain_has_no_findings_whole_or_from_the_middle() -> None:
    lines = written(5)
    assert findings(lines) == []
    assert findings(lines[2:]) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda lines: [lines[0], lines[1].replace(b'"n":1', b'"n":9'), *lines[2:]], [3]),
        (lambda lines: [lines[0], *lines[2:]], [2]),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], [3]),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], [2, 3, 4]),
        (lambda lines: [lines[0], b"forged\n", *lines[1:]], [2, 3]),
        (lambda lines: [lines[0], b"\n", *lines[1:]], [2, 3]),
        (lambda lines: [*lines, b'{"seq":5'], [5]),
    ],
    ids=["changed", "removed", "repeated", "swapped", "put in", "blank put in", "cut short"],
)
def test_a_change_is_found_where_it_is(change, found) -> None:  # type: ignore[no-untyped-def]
    assert findings(change(written(4))) == found


def test_a_number_that_does_not_follow_is_found_though_the_hash_does() -> None:
    chain = Chain()
    lines = written(1, chain)
    chain.sequence += 1
    assert findings(lines + written(1, chain)) == [2]


def test_a_chain_continues_after_its_last_line() -> None:
    lines = written(3)
    assert findings(lines + written(2, Chain.after(b"".join(lines)))) == []
    assert findings(lines + written(2, Chain.after(lines[-1]))) == []
    assert findings(lines + written(2, Chain.after(lines[1][5:] + lines[2]))) == []


def test_a_line_torn_by_a_crash_is_admitted_by_the_next_and_no_finding() -> None:
    lines = [*written(2), b'{"seq":3,"pre']
    chain = Chain.after(b"".join(lines))
    more = written(2, chain)
    assert more[0].startswith(b"\n")
    assert findings(lines + more) == []
    assert findings([*lines[:2], b"\n", *more]) != []


def test_a_file_that_is_no_chain_is_not_continued() -> None:
    for text in (b"hello\n", b"\n", b'{"seq": true, "prev": ""}\n', b"[]"):
        with pytest.raises(ValueError, match="not an audit file"):
            Chain.after(text)


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\x1b[2J", "\u202egnp.exe", "\u2066x\u2069", "\u200b", "\x7f\x9b", "\ud800", "\U000e0041"]
)
def test_a_line_shows_what_it_says(text: str) -> None:
    line = encode_line({"role": text})
    assert line.decode().removesuffix("\n").isprintable()
    assert json.loads(line)["role"] == text


def test_ordinary_text_stays_readable() -> None:
    assert "größe 名".encode() in encode_line({"role": "größe 名"})


def test_what_was_cut_off_at_the_beginning_shows_in_the_numbers() -> None:
    lines = written(5)
    assert extent_of(lines) == Extent(first=1, last=5, head=digest(lines[-1]))
    assert extent_of(lines[3:]) == Extent(first=4, last=5, head=digest(lines[-1]))
    assert extent_of([b"nothing of ours\n"]) is None


def test_a_line_that_is_too_deep_to_read_is_found_like_any_other() -> None:
    first, second = written(2)
    assert findings([first, b"[" * 100_000 + b"\n", second]) == [2, 3]
