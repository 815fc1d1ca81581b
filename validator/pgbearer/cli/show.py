"""How results look: JSON for machines, aligned columns and plain sentences for people. Never a token."""

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.cells import cell_len

if TYPE_CHECKING:
    from pgbearer.client import AccessToken

__all__ = ["as_json", "facts", "line", "pairs", "plain", "table", "until"]


def as_json(value: object) -> None:
    """Print `value` as JSON; what JSON has no type for (dates, decimals) is printed as its text.

    A character that a terminal or an eye would obey (control, bidi, invisible) is written as JSON's own escape, so that
    whoever parses it gets the same value.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)  # the only control characters are its newlines
    typer.echo("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def facts(token: "AccessToken") -> dict[str, Any]:
    """What may be known of a token: whom it says it is for, until when, and its `token_ref`."""
    from pgbearer.client import audience_in, user_in

    return {
        "user": user_in(token),
        "audience": list(audience_in(token)),
        "scope": token.scope,
        "expires_at": token.expires_at and round(token.expires_at),
        "token_ref": token.ref,
    }


def until(expires_at: float | None, now: float) -> str:
    """A moment and how far it is, e.g. ``2026-11-23 18:05:00 UTC (in 4 min 58 s)``; both in seconds since the epoch."""
    if expires_at is None:
        return "not known"
    moment = datetime.datetime.fromtimestamp(expires_at, datetime.UTC)
    left = round(expires_at - now)
    far = f"in {_for(left)}" if left > 0 else f"{_for(-left)} ago"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC ({far})"


def _for(seconds: int) -> str:
    minutes, hours = seconds // 60, seconds // 3600
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min {seconds % 60} s"


def line(text: str) -> None:
    """Print one line; what a client or a file wrote in it must not steer the terminal."""
    typer.echo(plain(text))


def plain(value: object) -> str:
    """A value as it can stand in a line or a table, nothing for None: no control or bidi character as it is."""
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def pairs(named: Mapping[str, str]) -> None:
    """Print names and values in two columns."""
    width = max(map(len, named))
    for name, value in named.items():
        typer.echo(f"{name:<{width}}  {value}")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their columns, as wide as they are: what is piped on must not be cut or wrapped."""
    lines = [columns, *rows]
    widths = [max(cell_len(line[index]) for line in lines) for index in range(len(columns))]
    padded = [
        [cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)] for line in lines
    ]
    typer.echo(" | ".join(padded[0]).rstrip())
    typer.echo("-+-".join("-" * width for width in widths))
    for cells in padded[1:]:
        typer.echo(" | ".join(cells).rstrip())
    count = len(lines) - 1
    typer.echo(f"({count} row{'' if count == 1 else 's'})")
