"""``pgbearer psql``: any version of psql, logged in."""

from typing import Annotated

import typer

from pgbearer.cli import asking, upstreams
from pgbearer.cli.given import TokenCommand, TokenFile, given

__all__ = ["CONTEXT", "psql"]

CONTEXT = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""Psql's options are not ours: ours come first."""

_HINT = "Install PostgreSQL's client programs, or say where psql is: --psql PATH."


def psql(
    context: typer.Context,
    *,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[UPSTREAM] [ARGS]...",
            help="What psql takes. A first argument may be the name of an upstream of client.toml.",
            autocompletion=upstreams.upstream_names,
        ),
    ] = None,
    program: Annotated[str, typer.Option("--psql", metavar="PATH", help="The psql to run.")] = "psql",
    profile: asking.ProfileName = None,
    issuer: asking.Issuer = None,
    client_id: asking.ClientId = None,
    scope: asking.Scope = None,
    token_file: TokenFile = None,
    token_command: TokenCommand = None,
    device: asking.Device = False,
    qr: asking.Qr = False,
    no_browser: asking.NoBrowser = False,
    ca_file: asking.CaFile = None,
) -> int:
    """Run psql, of any version, without a prompt at each connection.

    Say where to connect as you do to psql itself: with -h, -p, -U, -d, a connection string or URL, a service, PG*; or
    by the name of an upstream. Options of pgbearer come first, psql's after them. Psql is given a private socket
    instead, behind which this command logs in with your token; \\c to another database or role asks nobody.

    \b
    Example:
      pgbearer psql "service=appdb" -c "SELECT count(*) FROM orders"
      pgbearer psql --profile corp -h db.example.org -U app_readonly appdb
      pgbearer psql appdb -- -c "SELECT count(*) FROM orders"
      pgbearer psql --token-file /run/token/db appdb

    \b
    Exit codes: psql's own; before it is started 1 refused, 2 wrong usage, 3 the issuer or the server cannot be reached.
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    from pgbearer.client import load_client_file
    from pgbearer.client.local.child import find_program
    from pgbearer.client.local.private import run_plainly, run_with_proxy
    from pgbearer.client.local.psql_arguments import read_psql_arguments

    file = load_client_file()
    call = read_psql_arguments(arguments or (), file.upstreams)
    path = find_program(program, hint=_HINT)
    if not call.connects:
        return run_plainly([path, *call.rest])
    found = upstreams.find(call.conninfo, file)
    if call.upstream is not None:
        found = upstreams.changed(upstreams.find(call.upstream, file), call.conninfo)
    manner = asking.manner(device=device, qr=qr, no_browser=no_browser)
    token = given(context, token_file, token_command)
    options = upstreams.Options(profile, issuer, client_id, scope, ca_file, manner, token)
    upstream = upstreams.own_upstream(found, options)
    upstreams.check([upstream])
    return run_with_proxy(upstream, [path, *call.rest])
