"""``pgbearer policy``: what a file would decide, before it decides."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pgbearer.cli import show
from pgbearer.cli.extras import needing
from pgbearer.cli.shadow import shadow
from pgbearer.errors import UsageError

if TYPE_CHECKING:
    from pgbearer.config import Loaded
    from pgbearer.policy import Compiled
    from pgbearer.policy.cases import Result
    from pgbearer.policy.diff import Change, Replayed

__all__ = ["policy"]

policy = typer.Typer(name="policy", help="Test, compare and question rules before they are live.", no_args_is_help=True)

policy.add_typer(shadow)

_MOST_CASES: Final = 16 * 1024 * 1024
"""Bytes of a file of cases; a device that never ends is none."""
_CONFIG = Path("/etc/pgbearer/pgbearer.yaml")
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@policy.callback()
def root() -> None:
    """Test, compare and question rules before they are live."""


@policy.command("test")
def run_cases(
    file: Annotated[Path, typer.Argument(metavar="CASES", help="The file of cases.")],
    *,
    config: Annotated[
        Path | None, typer.Option("-c", "--config", help="The policy file.  [default: the one that the cases name]")
    ] = None,
    json: _Json = False,
) -> int:
    """Run the cases of a file, and say which come out otherwise.

    A case is a token and a request, and the decision that must come out: docs/testing-a-policy.md. Exits 0 if all come
    out as they must, 1 if not, 2 if a file cannot be used.

    \b
    Example of cases:
      version: 1
      policy: pgbearer.yaml
      cases:
        - name: a reader reads
          token: {roles: [db-read]}
          request: {database: appdb, role: app_readonly}
          expect: {decision: allow}

    \b
    Example:
      pgbearer policy test examples/pgbearer.cases.yaml
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    results, policy_file = _run(file, config)
    failed = [result for result in results if not result.passed]
    if json:
        listed = [{**asdict(result), "passed": result.passed} for result in results]
        show.as_json({"ok": not failed, "file": str(file), "policy": str(policy_file), "cases": listed})
        return 1 if failed else 0
    for result in failed:
        for line in _told(result, file):
            show.line(line)
    show.line(f"{file}: {len(results) - len(failed)} of {len(results)} cases as they must be, by {policy_file}")
    return 1 if failed else 0


@policy.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The policy file as it was.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The policy file as it is to be.")],
    *,
    audit: Annotated[
        list[Path] | None,
        typer.Option("--audit", metavar="FILE", help="Also decide again what this audit recorded (- for a pipe)."),
    ] = None,
    json: _Json = False,
) -> int:
    """Say who gains and who loses what by a change of the rules.

    NEW takes the place of OLD. All that the rules name is compared; with --audit, recorded decisions are also made
    again by both files.

    Exits 0 if nothing differs, 1 if something does, 2 if a file cannot be used.

    \b
    Example:
      pgbearer policy diff /etc/pgbearer/pgbearer.yaml pgbearer.yaml
      pgbearer policy diff /etc/pgbearer/pgbearer.yaml pgbearer.yaml --audit /var/log/pgbearer/audit.jsonl
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    before, after = _load(old), _load(new)
    from pgbearer.audit.reading import decisions_in
    from pgbearer.policy.diff import compare, elsewhere, expired, replay

    today = datetime.now(UTC).date()
    changes = compare(before.settings, after.settings, today=today)
    others = elsewhere(before.settings, after.settings)
    past = expired(before.settings, after.settings, today)
    replayed = replay(before.checked.policy, after.checked.policy, decisions_in(audit)) if audit else None
    if json:
        listed = [asdict(change) for change in changes]
        recorded = replayed and asdict(replayed)
        show.as_json({"changes": listed, "elsewhere": others, "expired": past, "recorded": recorded})
    else:
        for line in (*_compared(changes, others, past), *(_replayed(replayed) if replayed else ())):
            show.line(line)
    return 1 if changes or others or (replayed and replayed.shifts) else 0


@policy.command("who-can")
def who_can(
    role: Annotated[str, typer.Argument(metavar="ROLE", help="A database role.")],
    database: Annotated[str, typer.Argument(metavar="DATABASE", help="A database.")],
    *,
    config: Annotated[Path, typer.Option("-c", "--config", help="The policy file.")] = _CONFIG,
    json: _Json = False,
) -> int:
    """Say who can have a role in a database, and by which rule.

    Exits 0 if somebody can, 1 if nobody can, 2 if the file cannot be used.

    Example: pgbearer policy who-can app_readonly appdb -c examples/pgbearer.yaml
    """
    loaded = _load(config)
    from pgbearer.policy import who_can as ways

    found = ways.who_can(loaded.settings, role, database, today=datetime.now(UTC).date())
    if json:
        listed = {"ways": found.ways, "never": found.never, "past": found.past}
        show.as_json({name: [{**asdict(way), "who": way.who} for way in few] for name, few in listed.items()})
        return 0 if found.ways else 1
    show.line(f"{role} in {database}: {'who meets any of these' if found.ways else 'nobody'}")
    for way in found.ways:
        show.line(f'  {way.who}; the session ends {way.session} (rule "{way.rule}")')
    if found.ways and found.never:
        show.line("but never who meets one of these")
        for way in found.never:
            show.line(f'  {way.who} ({"veto of" if way.veto else "deny"} rule "{way.rule}")')
    for way in found.past:
        show.line(f'{"no longer" if way.session else "refused no longer"}: {way.who} (rule "{way.rule}" has expired)')
    return 0 if found.ways else 1


def _load(file: Path) -> "Loaded[Compiled]":
    with needing("serve"):
        from pgbearer import policy as rules
        from pgbearer.config import load
    return load(file, rules.compile, in_force=False)


def _run(file: Path, config: Path | None) -> tuple[list["Result"], Path]:
    with needing("serve"):
        from pgbearer.policy.case_file import parse_cases
        from pgbearer.policy.cases import run_case
    try:
        with file.open("rb") as opened:
            text = opened.read(_MOST_CASES).decode("utf-8")
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(file)) from None
    except UnicodeDecodeError:
        raise UsageError("not UTF-8", where=str(file)) from None
    cases = parse_cases(text, str(file))
    if config is None and cases.file.policy is None:
        raise UsageError("the cases name no policy", where=str(file), hint="Say policy: in it, or give -c.")
    policy_file = config or file.parent / str(cases.file.policy)
    loaded = _load(policy_file)
    run = [
        run_case(loaded.checked.policy, loaded.settings, cases, at, str(file)) for at in range(len(cases.file.cases))
    ]
    return run, policy_file


def _told(result: "Result", file: Path) -> Iterator[str]:
    yield f"{file}:{result.line}: {result.name}"
    for difference in result.differences:
        yield f"  - {difference.what}: {difference.expected}"
        yield f"  + {difference.what}: {difference.got}"
    yield from (f"    {line}" for line in result.why)


_HEADS = {
    "gains": "GAINS",
    "loses": "LOSES",
    "refused": "IS REFUSED, whatever else",
    "no longer refused": "IS NO LONGER REFUSED",
    "session": "HAS ANOTHER END OF SESSION",
}


def _compared(changes: Sequence["Change"], others: Sequence[str], past: Sequence[str]) -> Iterator[str]:
    if not changes:
        yield "The rules give and refuse the same."
    for kind, alike in groupby(changes, key=lambda change: change.kind):
        for change in alike:
            yield f"{_HEADS[kind]}  {change.who}"
            yield from (f"    {place}" for place in change.places)
            yield f"    because {change.why}"
    if others:
        yield "ALSO DIFFERENT, outside of the rules"
        yield from (f"    {line}" for line in others)
    if past:
        yield "LEFT OUT, because what has expired gives and refuses nothing"
        yield from (f"    {line}" for line in past)


def _replayed(replayed: "Replayed") -> Iterator[str]:
    yield ""
    yield (
        f"Of {replayed.asked} recorded decisions {sum(shift.count for shift in replayed.shifts)} would be others; "
        f"{replayed.passed_over} more were not the rules' to make."
    )
    for shift in replayed.shifts:
        who = f"{shift.display} ({shift.identity})" if shift.display else shift.identity
        yield f"  {shift.count} x {who} as {shift.place}: {shift.before} -> {shift.after}"
        yield f"      rules {shift.why}; the last at {shift.last}, decision {shift.decision_id}"
