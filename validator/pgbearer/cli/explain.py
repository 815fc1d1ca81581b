"""``pgbearer explain``: why a login was decided as it was, and what would have to change."""

import asyncio
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from pgbearer.cli import show
from pgbearer.cli.extras import needing
from pgbearer.errors import UsageError

__all__ = ["explain", "render"]

_SOCKET: Final = Path("/run/pgbearer/admin/admin.sock")
_CONFIG: Final = Path("/etc/pgbearer/pgbearer.yaml")
_MOST_TOKEN: Final = 1 << 20
_MARKS: Final = {True: "holds", False: "DOES NOT HOLD", None: "CANNOT BE JUDGED"}


def explain(
    *,
    decision: Annotated[
        str | None, typer.Option("--decision", metavar="ID", help="A decision id, from the server's log or the audit.")
    ] = None,
    token_ref: Annotated[
        str | None, typer.Option("--token-ref", metavar="REF", help="The newest decision about this token_ref.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="Verify the token in this file (- for a pipe) here and now."),
    ] = None,
    role: Annotated[str | None, typer.Option(help="With --token-file: the database role it would ask for.")] = None,
    database: Annotated[str | None, typer.Option(help="With --token-file: the database it would ask for.")] = None,
    server: Annotated[
        str | None, typer.Option(help="With --token-file: the server that would ask, by its name under servers.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="With --token-file: the client's IP address; left out, a Unix socket.")
    ] = None,
    config: Annotated[
        Path, typer.Option("-c", "--config", help="With --token-file or --audit: the policy file to explain by.")
    ] = _CONFIG,
    audit: Annotated[
        list[Path] | None,
        typer.Option("--audit", metavar="FILE", help="Look in this audit instead (- for a pipe); again for more."),
    ] = None,
    socket: Annotated[Path, typer.Option("--socket", help="The admin socket of the service.")] = _SOCKET,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> int:
    """Say why a login was allowed or refused, and what to change.

    Every step, the rules that came nearest, what would have to change. The service remembers its last 10,000 decisions
    and explains them by the rules in force; --audit explains a line of an audit by the rules of a file; --token-file
    verifies a token as the service would, without a login.

    \b
    Example:
      pgbearer explain --decision 3f0c9a1be2d47f60a1c5
      pgbearer explain --token-ref 987d3bbd068c --audit /var/log/pgbearer/audit.jsonl
      kubectl logs -l app.kubernetes.io/name=pgbearer --tail=-1 > pods.log
      pgbearer explain --decision 3f0c9a1be2d47f60a1c5 --audit pods.log -c pgbearer.yaml
      pgbearer token | pgbearer explain --token-file - --role app_readonly --database appdb -c pgbearer.yaml

    \b
    Exit codes: 0 explained, or the token of --token-file would be let in; 1 it would be refused; 2 wrong usage, or no
    such decision; 3 the service or the issuer cannot be reached.
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    if sum(given is not None for given in (decision, token_ref, token_file)) != 1:
        raise UsageError("explain what?", hint="Give one of --decision, --token-ref and --token-file.")
    if token_file is not None:
        if role is None or database is None:
            raise UsageError("a token asks for a role in a database", hint="Give --role and --database.")
        _must_be_an_address(address)
        explained = _rehearsed(config, token_file, role=role, database=database, server=server, address=address)
    elif audit:
        explained = _from_audit(audit, decision, token_ref, config)
    else:
        explained = _from_service(socket, str(decision or token_ref))
    if json:
        show.as_json(explained)
    else:
        for line in render(explained):
            show.line(line)
    return 1 if token_file is not None and explained["verdict"]["decision"] == "deny" else 0


def _rehearsed(
    config: Path, token_file: Path, *, role: str, database: str, server: str | None, address: str | None
) -> dict[str, Any]:
    with needing("serve"):
        from pgbearer.service.explaining import rehearse
    from pgbearer.hardening import forbid_dumps

    forbid_dumps()
    _must_be_there(config)
    token = _token_in(token_file)
    return asyncio.run(rehearse(config, token, role=role, database=database, server=server, address=address))


def _must_be_there(config: Path) -> None:
    if not config.exists():
        hint = "Name the policy file with -c; in the pods of cnpg/ it is /etc/pgbearer/config/pgbearer.yaml."
        raise UsageError(f"there is no policy at {config} to explain by", hint=hint)


def _must_be_an_address(text: str | None) -> None:
    try:
        ip_address(text or "::1")
    except ValueError:
        raise UsageError(f"--address {text!r} is no IP address", hint="Write it as 10.1.2.3 or 2001:db8::1.") from None


def _token_in(file: Path) -> str:
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(_MOST_TOKEN)
        else:
            with file.open("rb") as opened:
                data = opened.read(_MOST_TOKEN)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(file)) from None
    return data.decode("utf-8", "replace").strip()


def _from_audit(files: list[Path], decision: str | None, token_ref: str | None, config: Path) -> dict[str, Any]:
    with needing("serve"):
        from pgbearer.audit.reading import decisions_in
        from pgbearer.service.explaining import explain_entry
    member, name = ("decision_id", decision) if decision else ("token_ref", token_ref)
    newest = deque((one for one in decisions_in(files) if one.get(member) == name), maxlen=1)
    if not newest:
        raise UsageError(f"there is no decision with {member} {name!r}", where=", ".join(map(str, files)))
    _must_be_there(config)
    return explain_entry(newest[0], config)


def _from_service(socket: Path, name: str) -> dict[str, Any]:
    with needing("serve"):
        from pgbearer.service.ask import ask
    return ask(socket, f"/v1/decisions/{quote(name, safe='')}/explanation")


def render(explained: dict[str, Any]) -> Iterator[str]:
    """An explanation as lines for people."""
    yield from _head(explained["decision"], explained["verdict"])
    yield from ("", "What was checked, in order")
    width = max(len(step["step"]) for step in explained["steps"])
    for step in explained["steps"]:
        mark = {"passed": "ok", "failed": "FAILED", "not reached": "-"}[step["outcome"]]
        yield f"  {mark:<6}  {step['step']:<{width}}  {step['saw'] or _SILENT[step['outcome']]}".rstrip()
    if explained["rules"]:
        yield from _rules(explained["rules"], explained["rules_total"])
    if explained["changes"]:
        yield from ("", "What would have to change")
        yield from (f"  {change}" for change in explained["changes"])
    if now := explained["now"]:
        by = f" by {', '.join(now['rules'])}" if now["rules"] else ""
        said = "allow it" if now["decision"] == "allow" else f"refuse it: {now['reason']}"
        yield from ("", f"The policy as it is now would {said}{by}.")
    if explained["notes"]:
        yield from ("", "Good to know")
        yield from (f"  {note}" for note in explained["notes"])


_SILENT: Final = {"passed": "in order", "failed": "", "not reached": "not reached"}


def _head(decision: dict[str, Any], verdict: dict[str, Any]) -> Iterator[str]:
    who = decision.get("display") or decision.get("identity") or "somebody whose token did not pass"
    identity = f" ({decision['identity']})" if decision.get("display") else ""
    if decision.get("decision_id"):
        yield f"Decision {decision['decision_id']}, {decision['time']}"
    if actors := decision.get("actors"):
        before = f" (before it: {', '.join(actors[1:])})" if actors[1:] else ""
        who = f"The agent {actors[0]}{before}, acting for {who}"
    yield f"{who}{identity} asked for the role {decision.get('role')} in the database {decision.get('database')}"
    if verdict["decision"] == "allow":
        yield f"and was allowed, by {', '.join(verdict['rules'])}; the session ends by {decision.get('ends_at')}."
    else:
        by = f" by the rule {', '.join(verdict['rules'])}" if verdict["rules"] else ""
        yield f"and was REFUSED{by}: {verdict['reason']}. {verdict['meaning']}"


def _rules(rules: list[dict[str, Any]], total: int) -> Iterator[str]:
    deciding = [rule for rule in rules if rule["deny"] or rule["matched"]]
    near = [rule for rule in rules if not (rule["deny"] or rule["matched"])]
    for rule in deciding:
        yield ""
        what = "refuses" if rule["deny"] else "allows"
        verb = "matches, and " + what if rule["matched"] else "is a deny rule and cannot be judged, and so refuses"
        yield f'The rule "{rule["rule"]}"{_ticket(rule)} {verb}'
        yield from _keys(rule["keys"])
    if not deciding and near:
        yield from ("", f'The rule that came nearest is "{near[0]["rule"]}"{_ticket(near[0])}')
        yield from _keys(near[0]["keys"])
        near = near[1:]
    if near:
        yield from ("", f"Other rules, the nearest first ({total} in all)")
        yield from (f'  "{rule["rule"]}": {_shortly(rule["keys"])}' for rule in near)


def _keys(keys: Iterable[dict[str, Any]]) -> Iterator[str]:
    for key in keys:
        yield f"  {_MARKS[key['holds']]:<16}  {key['key']}: it asks for {key['wants']}; {key['has']}"


def _shortly(keys: Iterable[dict[str, Any]]) -> str:
    unmet = [key for key in keys if key["holds"] is not True]
    return "; ".join(f"{key['key']} asks for {key['wants']}" for key in unmet)


def _ticket(rule: dict[str, Any]) -> str:
    return f" ({rule['ticket']})" if rule["ticket"] else ""
