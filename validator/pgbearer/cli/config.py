"""``pgbearer config``: check a file before the service reads it, and the schema for editors."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pgbearer.cli import show
from pgbearer.cli.extras import needing

__all__ = ["config"]

config = typer.Typer(name="config", help="Check pgbearer.yaml, and print its schema.", no_args_is_help=True)


@config.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file, usually /etc/pgbearer/pgbearer.yaml.")],
    *,
    audit: Annotated[
        list[Path] | None,
        typer.Option(
            "--audit", metavar="FILE", help="Audit files, oldest first, to find rules and issuers that nobody uses."
        ),
    ] = None,
    unused_days: Annotated[
        int,
        typer.Option(
            "--unused-days", metavar="DAYS", min=1, help="How long a rule or issuer may go unused; with --audit."
        ),
    ] = 90,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")] = False,
) -> int:
    """Read a file as the service would and print every problem.

    Exits 0 if the service would use the file, 2 if it would refuse it. Warnings do not change that.

    \b
    Example:
      pgbearer config check examples/pgbearer.yaml --audit /var/log/pgbearer/audit.jsonl --unused-days 90
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    result = _check(file, audit or [], unused_days)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        for problem in result["problems"]:
            typer.echo(problem["text"])
        typer.echo(f"{file}: {result['summary']}")
    return 0 if result["ok"] else 2


@config.command()
def schema(
    *,
    policy_d: Annotated[bool, typer.Option("--policy-d", help="That of a file in policy.d.")] = False,
) -> None:
    """Print the JSON Schema of pgbearer.yaml.

    Example: pgbearer config schema
    """
    with needing("serve"):
        from pgbearer.config import PolicyFile, Settings
        from pgbearer.config.schema import json_schema
    typer.echo(json.dumps(json_schema(PolicyFile if policy_d else Settings), indent=2))


@config.command()
def live(
    *,
    socket: Annotated[Path, typer.Option("--socket", metavar="PATH", help="The admin socket of the service.")] = Path(
        "/run/pgbearer/admin/admin.sock"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")] = False,
) -> None:
    """Say which file the running service goes by.

    And whether it is the one that stands there now. If the file as it stands was refused, the service keeps the one
    before: `current` is false, and the problems are listed.

    Example: pgbearer config live --json
    """
    with needing("serve"):
        from pgbearer.service.ask import ask
    found = ask(socket, "/v1/config")
    if as_json:
        show.as_json({name: found.get(name) for name in ("digest", "loaded_at", "current", "problems")})
    else:
        show.line(f"sha256 {found.get('digest')}, since {found.get('loaded_at')}")
        for problem in found.get("problems") or ():
            show.line(f"refused: {problem}")


def _rules(count: int) -> str:
    return f"{count} rule{'' if count == 1 else 's'}"


def _check(file: Path, audit: list[Path], unused_days: int) -> dict[str, Any]:
    """What both the table and the JSON are printed from."""
    with needing("serve"):
        from pgbearer import policy
        from pgbearer.audit import decisions_in
        from pgbearer.audit.moved import unfinished_moves
        from pgbearer.audit.usage import Usage, unused_rules
        from pgbearer.config import ConfigError, load, render_path
    result: dict[str, Any] = {"file": str(file), "ok": True, "digest": None}
    try:
        loaded = load(file, policy.compile)
        problems = loaded.warnings
        if audit:
            usage = Usage.of(decisions_in(audit))
            now = datetime.now(UTC)
            problems = (
                *problems,
                *unused_rules(loaded, usage, now=now, days=unused_days),
                *unfinished_moves(loaded, usage, now=now, days=unused_days),
            )
        result["digest"] = loaded.digest
        result["summary"] = f"good, {_rules(len(loaded.settings.rules))}, sha256 {loaded.digest[:12]}"
    except ConfigError as error:
        problems = error.problems
        result["ok"] = False
        result["summary"] = f"{error.what}; the service would refuse this file"
    result["problems"] = [
        {
            "severity": problem.severity,
            "file": problem.file,
            "line": problem.line,
            "column": problem.column,
            "path": render_path(problem.path),
            "message": problem.message,
            "hint": problem.hint,
            "text": str(problem),
        }
        for problem in problems
    ]
    return result
