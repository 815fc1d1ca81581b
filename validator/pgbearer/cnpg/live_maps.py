"""What a running server has of pg_ident.conf, by the view pg_ident_file_mappings, as lines to be judged."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pgbearer.cnpg import about_maps
from pgbearer.cnpg.about_maps import OPERATORS, MapLine
from pgbearer.cnpg.finding import Found
from pgbearer.config import KeyPath
from pgbearer.hba import Token
from pgbearer.hba.tokens import fields, logical_lines

__all__ = ["VIEW", "judge_maps", "place_of"]

VIEW: Final = "pg_ident_file_mappings"


def place_of(row: Mapping[str, Any]) -> KeyPath:
    """What a finding in this row is told of."""
    return (VIEW, int(row["map_number"])) if row["map_number"] else (VIEW, "line", int(row["line_number"] or 0))


def judge_maps(
    rows: Sequence[Mapping[str, Any]], files: Mapping[str, str | None], *, operated: bool
) -> Iterator[Found]:
    """Judge rows of the view. Pure.

    Args:
        rows: in the order of the view.
        files: of the server, by name: the view leaves out which names stand in quotes (fill_ident_line of hbafuncs.c).
        operated: whether the server is one of the operator's; what is called as its maps is everybody's elsewhere.
    """
    for row in rows:
        if row["error"] is not None:
            hint = "mend it and reload: until then the server keeps the maps that it had"
            yield Found("hba_syntax", place_of(row), str(row["error"]), hint)
    lines = list(_lines([row for row in rows if row["error"] is None], files, operated=operated))
    for check in about_maps.CHECKS:
        yield from check(lines)


def _lines(rows: Sequence[Mapping[str, Any]], files: Mapping[str, str | None], *, operated: bool) -> Iterator[MapLine]:
    """Without the operator's own: it writes one for each of its maps, above all others."""
    read = {
        (name, number): fields(words)
        for name, content in files.items()
        for number, words in logical_lines(content or "")
    }
    seen: set[str] = set()
    for row in rows:
        words = [row[column] or "" for column in ("map_name", "sys_name", "pg_username")]
        of_the_operator = operated and words[0] in OPERATORS
        if of_the_operator and words[0] not in seen:
            seen.add(words[0])
            continue
        written = read.get((row["file_name"], row["line_number"]), [])
        same = [field[0].text for field in written[:3]] == words
        yield MapLine(place_of(row), written if same else [(Token(word),) for word in words], of_the_operator)
