"""How a proxy's doors look: what to say to a client to come in there, and what each proxy says of itself."""

import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import typer

from pgbearer.cli import show

if TYPE_CHECKING:
    from pgbearer.client.local.serving import Serving
    from pgbearer.client.proxy import ProxyStatus

__all__ = ["row", "say_ready", "table"]

_COLUMNS: Final = ("upstream", "reached at", "clients", "since", "logged in as", "token expires", "last error")

_LAST_MOMENT: Final = 253_402_300_800.0
"""Seconds since the epoch of the year 10000, which datetime has not (datetime.MAXYEAR)."""
_WIDEST: Final = 1000
"""Characters of a cell."""


def table(answers: Iterable[Mapping[str, Any]], now: float) -> None:
    """Print a row for each upstream of each proxy; `now` in seconds since the epoch."""
    show.table(_COLUMNS, [row(said, now) for said in answers])


def row(said: Mapping[str, Any], now: float) -> list[str]:
    """What a proxy says of itself, of whatever type: it is shown, and believed no further."""
    identities = [one for one in _listed(said.get("identities")) if isinstance(one, dict)]
    clients = f"{said.get('connections')}" + (" (ending)" if said.get("draining") else "")
    users = [
        f"{one['local_user']}: {one.get('user')}" if one.get("local_user") else one.get("user") for one in identities
    ]
    ends = [_moment(one.get("expires_at"), now) for one in identities]
    reached = [str(where) for where in _listed(said.get("listening"))]
    since = _moment(said.get("started_at"), now)
    cells = said.get("name"), ", ".join(reached), clients, since, "; ".join(map(str, users)), "; ".join(ends)
    return [_cell(cell) for cell in (*cells, said.get("last_error"))]


def _listed(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _moment(value: object, now: float) -> str:
    """A moment of a calendar, if it is one: JSON has numbers that no calendar reaches."""
    if isinstance(value, int | float) and 0 < value < _LAST_MOMENT:
        return show.until(value, now)
    return "not known"


def _cell(value: object) -> str:
    text = show.plain(value)
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]} ..."


def say_ready(servings: "Sequence[Serving]", status: "ProxyStatus", *, as_json: bool) -> None:
    """Say that clients can come, and how: one line of JSON for a program that waits for it, or commands for people."""
    doors = [
        {"name": each.name, "user": options.get("user"), "database": options.get("dbname"), **_door(where, serving)}
        for serving, each in zip(servings, status.upstreams, strict=True)
        for options in [serving.options()]
        for where in each.listening
    ]
    if as_json:
        typer.echo(json.dumps({"pid": os.getpid(), "upstreams": doors}))
        return
    for door in doors:
        typer.echo(f"{show.plain(door['name'])} is ready: {show.plain(_as_command(door))}")


def _door(where: str, serving: "Serving") -> dict[str, Any]:
    host, _, port = where.rpartition(":")
    return {"host": host, "port": int(port), "passfile": None if host[:1] == "/" else str(serving.spot.passfile)}


def _as_command(door: Mapping[str, Any]) -> str:
    words = ["psql", "-h", door["host"], "-p", str(door["port"]), "-U", door["user"] or "", door["database"] or ""]
    prefix = f"PGPASSFILE={shlex.quote(door['passfile'])} " if door["passfile"] else ""
    return prefix + shlex.join(words)
