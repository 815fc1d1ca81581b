"""``pgbearer policy shadow``: a candidate policy beside the enforced one, on the logins that really come."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pgbearer.cli import show as output
from pgbearer.cli.extras import needing

__all__ = ["shadow"]

shadow = typer.Typer(
    name="shadow", help="Compare a candidate policy with the enforced one, login by login.", no_args_is_help=True
)

_Socket = Annotated[Path, typer.Option("--socket", help="The admin socket of the service.")]
_SOCKET = Path("/run/pgbearer/admin/admin.sock")
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@shadow.command()
def start(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The candidate; the service itself reads it, as strictly as its own."),
    ],
    *,
    socket: _Socket = _SOCKET,
    as_json: _Json = False,
) -> None:
    """Ask a candidate policy about every login from now on. It decides nothing, and no login waits for it.

    Until it is stopped or the service ends: it survives a reload of the enforced file and no restart.

    Example: pgbearer policy shadow start /etc/pgbearer/candidate.yaml
    """
    done = _tell(socket, "/v1/shadow/start", {"file": str(file.absolute())})
    if as_json:
        output.as_json(done)
        return
    for warning in done["warnings"]:
        output.line(f"warning: {warning}")
    output.line(f"comparing with {done['file']}, sha256 {done['candidate'][:12]}")


@shadow.command()
def stop(*, socket: _Socket = _SOCKET, as_json: _Json = False) -> None:
    """Compare no more. The report stays until the next start.

    Example: pgbearer policy shadow stop
    """
    done = _tell(socket, "/v1/shadow/stop", {})
    if as_json:
        output.as_json(done)
    else:
        output.pairs(_numbers(done))


@shadow.command()
def report(
    *,
    limit: Annotated[int, typer.Option(min=0, max=1000, help="At most so many differences, the newest.")] = 20,
    socket: _Socket = _SOCKET,
    as_json: _Json = False,
) -> None:
    """Show what the candidate would have decided otherwise.

    How often, by which rules, and for whom. JSON has the last 1,000 differences in full.

    Example: pgbearer policy shadow report --limit 5
    """
    found = _ask(socket, "/v1/shadow")
    if as_json:
        output.as_json(found)
        return
    output.pairs(_numbers(found))
    if found["by_rule"]:
        typer.echo()
        output.table(("kind", "rule", "count"), [_row(one, "kind", "rule", "count") for one in found["by_rule"]])
    if found["differences"][:limit]:
        typer.echo()
        columns = ("time", "kind", "identity", "display", "role", "database", "enforced", "candidate", "decision_id")
        output.table(columns, [_row(_short(one), *columns) for one in found["differences"][:limit]])


def _numbers(summary: Mapping[str, Any]) -> dict[str, str]:
    counted = {name: str(count) for name, count in summary["differing"].items()}
    return {
        "shadow": _state(summary),
        "candidate": f"{output.plain(summary['file'])}, sha256 {summary['candidate'][:12]}"
        if summary["candidate"]
        else "none yet",
        "since": summary["since"] or "",
        "compared": str(summary["compared"]),
        "waiting": str(summary["waiting"]),
        "skipped": str(summary["skipped"]),
        **counted,
    }


def _state(summary: Mapping[str, Any]) -> str:
    """Whether anything is compared, and what nobody should wait for: a comparison does not survive its service."""
    if summary["running"]:
        return "running, until it is stopped or the service ends"
    if summary["candidate"] is None:
        return "none since this service started; what one before it came to is in the audit, kind shadow_stop"
    return f"stopped: {summary['stopped']}" if summary["stopped"] else "stopped"


def _short(one: Mapping[str, Any]) -> dict[str, Any]:
    """A difference in one line: of each decision its rules, or its reason, or why there is none."""
    enforced, candidate = one["enforced"], one["candidate"]
    return {**one, "enforced": _verdict(enforced), "candidate": candidate.get("error") or _verdict(candidate)}


def _verdict(verdict: Mapping[str, Any]) -> str:
    if verdict["decision"] == "allow":
        return f"allow until {verdict['ends_at']} ({', '.join(verdict['rules'])})"
    return f"{verdict['reason']}{' (' + ', '.join(verdict['rules']) + ')' if verdict['rules'] else ''}"


def _row(values: Mapping[str, Any], *columns: str) -> list[str]:
    return [output.plain(values[column]) for column in columns]


def _ask(socket: Path, target: str) -> dict[str, Any]:
    with needing("serve"):
        from pgbearer.service.ask import ask
    return ask(socket, target)


def _tell(socket: Path, target: str, command: Mapping[str, Any]) -> dict[str, Any]:
    with needing("serve"):
        from pgbearer.service.ask import tell
    return tell(socket, target, command)
