"""``pgbearer decisions``: what was decided and why, from the running service or from an audit file."""

from collections import deque
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from pgbearer.cli import show as output
from pgbearer.cli.extras import needing
from pgbearer.errors import PgbearerError, UsageError

__all__ = ["decisions"]

decisions = typer.Typer(name="decisions", help="What was decided, for whom, and why.", no_args_is_help=True)

_Socket = Annotated[Path, typer.Option("--socket", metavar="PATH", help="The admin socket of the service.")]
_SOCKET = Path("/run/pgbearer/admin/admin.sock")
_Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--file",
        "--audit",
        metavar="FILE",
        help="Look in this audit file instead (- for a pipe); again for more, oldest first.",
    ),
]
_MOST_FINDINGS = 20
"""So many breaks of a chain are shown to people: one line can break it, and another file has nothing else."""
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@decisions.command("list")
def list_(
    *,
    identity: Annotated[str | None, typer.Option(metavar="NAME", help="Only decisions about this identity.")] = None,
    role: Annotated[str | None, typer.Option(metavar="ROLE", help="Only decisions about this database role.")] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="REASON", help="Only decisions with this reason, e.g. no_rule.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only since this time, e.g. 2026-11-23T18:00 (UTC), or for so long: 2h."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many, the newest.")] = 20,
    socket: _Socket = _SOCKET,
    file: _Files = None,
    as_json: _Json = False,
) -> None:
    """Show the last decisions, the newest first.

    The service remembers the last 10,000; --file looks in the audit itself, also where no service runs.

    Example: pgbearer decisions list --reason role_not_allowed --limit 5
    """
    filters = {"identity": identity, "role": role, "reason": reason}
    wanted = {name: value for name, value in filters.items() if value is not None}
    moment = None if since is None else _moment(since)
    found = _from_files(file, wanted, moment, limit) if file else _from_service(socket, wanted, moment, limit)
    if reason is not None and not found:
        _must_exist(reason)
    if as_json:
        output.as_json(found)
    else:
        actors = ("actors",) if any(entry.get("actors") for entry in found) else ()
        who = ("identity", "display", *actors)
        columns = ("time", "decision", "reason", *who, "role", "database", "rules", "decision_id")
        output.table(columns, [[_cell(entry.get(column)) for column in columns] for entry in found])


@decisions.command("show")
def show(
    decision: Annotated[
        str, typer.Argument(metavar="DECISION", help="A decision id, or the token_ref that the client printed.")
    ],
    *,
    socket: _Socket = _SOCKET,
    file: _Files = None,
    as_json: _Json = False,
) -> None:
    """Show one decision, all that was known, and what to do.

    Example: pgbearer decisions show 3f0c9a1be2d47f60a1c5
    """
    entry = _find_in(file, decision) if file else _ask(socket, f"/v1/decisions/{quote(decision, safe='')}")
    if as_json:
        output.as_json(entry)
        return
    considered = entry.pop("considered", [])
    entry.pop("facts", None)  # for `explain`, which puts them in words
    entry["asked"] = [_told(one) for one in entry.get("asked") or ()]
    known = {name: _cell(value) for name, value in entry.items() if value not in (None, "", [], {})}
    output.pairs({**known, "in full": f"pgbearer explain --decision {_cell(entry.get('decision_id'))}"})
    if considered:
        typer.echo()
        columns = ("rule", "deny", "matched", "unmet", "detail")
        output.table(columns, [[_cell(rule[column]) for column in columns] for rule in considered])


@decisions.command("verify")
def verify(
    files: Annotated[list[Path], typer.Argument(metavar="FILES", help="Audit files, oldest first.")],
    *,
    as_json: _Json = False,
) -> int:
    """Check that nothing in the audit was changed, removed or put in.

    Exits 0 if the chain holds, 1 if it does not or there is none. What was cut off at either end leaves no trace in the
    lines that are left: look whether they begin with number 1, and compare the last number and the head with what you
    noted elsewhere.

    \b
    Example:
      pgbearer decisions verify /var/log/pgbearer/audit.jsonl.1 /var/log/pgbearer/audit.jsonl
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    from pgbearer.audit.chain import extent_of, verify_chain
    from pgbearer.audit.reading import lines_of

    lines = list(lines_of(files))
    findings = list(verify_chain(lines))
    extent = extent_of(lines)
    if as_json:
        listed = [{"line": finding.line, "what": finding.what} for finding in findings]
        numbers = {name: getattr(extent, name, None) for name in ("first", "last", "head")}
        output.as_json({"ok": bool(lines) and not findings, "lines": len(lines), **numbers, "findings": listed})
        return 1 if findings or not lines else 0
    if not lines:
        typer.echo("no lines, and so NOTHING TO VERIFY: a service writes its first line when it starts")
        return 1
    for finding in findings[:_MOST_FINDINGS]:
        typer.echo(f"line {finding.line} {finding.what}")
    if len(findings) > _MOST_FINDINGS:
        typer.echo(f"and {len(findings) - _MOST_FINDINGS} more, all of them with --json")
    typer.echo(f"{len(lines)} lines, {'the chain holds' if not findings else 'THE CHAIN IS BROKEN'}")
    if extent is not None:
        typer.echo(f"from number {extent.first} to {extent.last}, head {extent.head}")
        if extent.first > 1:
            typer.echo(f"numbers 1 to {extent.first - 1} are not here: give the older files too, if there are any")
    return 1 if findings else 0


def _told(inquiry: object) -> object:
    from pgbearer.audit.inquiry import told

    try:
        return told(inquiry) if isinstance(inquiry, dict) else inquiry
    except (KeyError, TypeError):  # whoever wrote that line, it is shown as it is
        return inquiry


def _must_exist(reason: str) -> None:
    """Nothing has a reason that does not exist; that is asked last, because an audit may be of a newer release."""
    from pgbearer.wire import Reason

    names = [known.value for known in Reason]
    if reason not in names:
        near = get_close_matches(reason, names, n=1)
        hint = f"Did you mean {near[0]}?" if near else "docs/reasons.md lists them all."
        raise UsageError(f"no decision has the reason {reason!r}: there is none of that name", hint=hint)


def _from_service(socket: Path, wanted: dict[str, str], since: datetime | None, limit: int) -> list[dict[str, Any]]:
    query = {**wanted, "limit": str(limit)}
    if since is not None:
        query["since"] = str(int(since.timestamp() * 1000))
    found: list[dict[str, Any]] = _ask(socket, f"/v1/decisions?{urlencode(query)}")["decisions"]
    return found


def _from_files(files: list[Path], wanted: dict[str, str], since: datetime | None, limit: int) -> list[dict[str, Any]]:
    from pgbearer.audit.reading import decisions_in

    last: deque[dict[str, Any]] = deque(maxlen=limit)
    for entry in decisions_in(files):
        fits = all(entry.get(name) == value for name, value in wanted.items())
        if fits and (since is None or datetime.fromisoformat(entry["time"]) >= since):
            last.appendleft(entry)
    return list(last)


def _find_in(files: list[Path], name: str) -> dict[str, Any]:
    from pgbearer.audit.reading import decisions_in

    for entry in decisions_in(reversed(files)):
        if name in (entry.get("decision_id"), entry.get("token_ref")):
            return entry
    raise PgbearerError("there is no such decision here", where=", ".join(map(str, files)))


def _ask(socket: Path, target: str) -> dict[str, Any]:
    with needing("serve"):
        from pgbearer.service.ask import ask
    return ask(socket, target)


def _moment(text: str) -> datetime:
    """A moment as it is written, or so long ago: ``30m``, ``2h``, ``7d``."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if text[:-1].isascii() and text[:-1].isdigit() and len(text) <= 6 and text[-1] in units:
        return datetime.now(UTC) - timedelta(**{units[text[-1]]: int(text[:-1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--since {text!r} is no time", hint="Write it as 2026-11-23T18:00, or 2h for the last two hours."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _cell(value: object) -> str:
    """A value in a table: what a client wrote in it must not steer the terminal."""
    match value:
        case None:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case list():
            text = ", ".join(map(str, value))
        case dict():
            text = " ".join(f"{name}={one}" for name, one in value.items() if one is not None)
        case _:
            text = str(value)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
