"""``pgbearer psql``: any version of psql, logged in."""

from typing import Annotated

import typer

from pgbearer.cli import upstreams
from pgbearer.cli.token_options import with_token_options

__all__ = ["CONTEXT", "psql"]

CONTEXT = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""Psql's options are not ours: ours come first."""

_HINT = "Install PostgreSQL's client programs, or say where psql is: --psql PATH."


@with_token_options
def psql(
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
    options: upstreams.Options,
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
    upstream = upstreams.own_upstream(found, options)
    upstreams.check([upstream])
    return run_with_proxy(upstream, [path, *call.rest])
