"""``pgbearer revoke``: tokens that are refused from the next login on, although they have not expired."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from pgbearer.cli import show as output
from pgbearer.cli.extras import needing
from pgbearer.errors import UsageError

__all__ = ["revoke"]

revoke = typer.Typer(name="revoke", invoke_without_command=True)

_Socket = Annotated[Path, typer.Option("--socket", help="The admin socket of the service.")]
_SOCKET = Path("/run/pgbearer/admin/admin.sock")
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
_Ticket = Annotated[str | None, typer.Option("--ticket", help="Why, for people and the audit.")]


@revoke.callback()
def root(
    context: typer.Context,
    *,
    kid: Annotated[str | None, typer.Option("--kid", help="Tokens signed with the key of this id.")] = None,
    before: Annotated[
        str | None,
        typer.Option(
            "--before", metavar="TIME", help="Tokens issued before this time: now, or 2026-11-23T18:00 (UTC)."
        ),
    ] = None,
    sid: Annotated[str | None, typer.Option("--sid", help="Tokens of this session at the issuer.")] = None,
    sub: Annotated[
        str | None, typer.Option("--sub", help="Tokens of this subject; with --before only those issued before.")
    ] = None,
    jti: Annotated[str | None, typer.Option("--jti", help="The one token with this id.")] = None,
    issuer: Annotated[
        str | None, typer.Option("--issuer", metavar="NAME", help="Only of this issuer.  [default: of any]")
    ] = None,
    lasts: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="DURATION",
            help="How long it lasts, at least 25h.  [default: 30d; for --kid and --sub until it is lifted]",
        ),
    ] = None,
    ticket: _Ticket = None,
    socket: _Socket = _SOCKET,
    as_json: _Json = False,
) -> None:
    """Refuse tokens from the next login on, before they expire.

    Sessions that are open stay open. Give one of --kid, --before, --sid, --sub and --jti; --sub also with --before.
    When the command has ended it is in force and stored: a restart does not forget it.

    \b
    Example:
      pgbearer revoke --sub 4f7c1a52-9d3e-4a57-b0e5-6a5ce7f0d9b1 --ticket HR-2041
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    if context.invoked_subcommand is not None:
        return
    given = {"kid": kid, "sid": sid, "sub": sub, "jti": jti, "issuer": issuer, "for": lasts, "ticket": ticket}
    command: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if before is not None:
        command["before"] = _moment(before)
    _shown(_tell(socket, "/v1/revocations", command), "revoked", as_json=as_json)


@revoke.command("list")
def list_(*, socket: _Socket = _SOCKET, as_json: _Json = False) -> None:
    """Show what is revoked, the oldest first.

    Example: pgbearer revoke list
    """
    found = _ask(socket, "/v1/revocations")["revocations"]
    if as_json:
        output.as_json(found)
        return
    columns = ("id", "kind", "value", "before", "issuer", "made_at", "until", "peer_uid", "ticket")
    shown = [{**entry, "until": entry["until"] or "it is lifted"} for entry in found]
    output.table(columns, [[output.plain(entry[column]) for column in columns] for entry in shown])


@revoke.command("lift")
def lift(
    revocation: Annotated[str, typer.Argument(metavar="ID", help="As `pgbearer revoke list` shows it.")],
    *,
    ticket: _Ticket = None,
    socket: _Socket = _SOCKET,
    as_json: _Json = False,
) -> None:
    """Accept again what a revocation refused.

    Tokens that have expired meanwhile stay expired.

    Example: pgbearer revoke lift 3f0c9a1be2d4 --ticket HR-2041
    """
    command = {} if ticket is None else {"ticket": ticket}
    _shown(_tell(socket, f"/v1/revocations/{quote(revocation, safe='')}/lift", command), "lifted", as_json=as_json)


def _shown(entry: Mapping[str, Any], done: str, *, as_json: bool) -> None:
    if as_json:
        output.as_json(entry)
        return
    output.pairs({name: output.plain(value) for name, value in entry.items() if value is not None})
    ends = "until it is lifted" if entry["until"] is None else f"until {entry['until']}"
    typer.echo(f"{done}, from the next login on" + (f", {ends}" if done == "revoked" else ""))


def _moment(text: str) -> int:
    """Epoch seconds; a part of a second counts as a whole one, because tokens know no parts."""
    if text == "now":
        return math.ceil(datetime.now(UTC).timestamp())
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--before {text!r} is no time", hint="Write now, or 2026-11-23T18:00.") from None
    return math.ceil((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _ask(socket: Path, target: str) -> dict[str, Any]:
    with needing("serve"):
        from pgbearer.service.ask import ask
    return ask(socket, target)


def _tell(socket: Path, target: str, command: Mapping[str, Any]) -> dict[str, Any]:
    with needing("serve"):
        from pgbearer.service.ask import tell
    return tell(socket, target, command)
