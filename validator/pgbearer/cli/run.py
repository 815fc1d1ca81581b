"""``pgbearer run``: any program that speaks to PostgreSQL, logged in."""

from typing import Annotated

import typer

from pgbearer.cli import upstreams
from pgbearer.cli.token_options import with_token_options
from pgbearer.errors import UsageError

__all__ = ["CONTEXT", "run"]

CONTEXT = {"allow_interspersed_args": False}
"""The program's options are not ours: ours come first."""


@with_token_options
def run(
    *,
    upstream: Annotated[
        str,
        typer.Argument(
            metavar="UPSTREAM",
            help="An upstream of client.toml, a connection string or a URL.",
            autocompletion=upstreams.upstream_names,
        ),
    ],
    command: Annotated[list[str], typer.Argument(metavar="CMD", help="The program and its arguments, after --.")],
    tcp: Annotated[
        bool, typer.Option("--tcp", help="A port of the loopback, for programs that cannot do Unix sockets.")
    ] = False,
    options: upstreams.Options,
) -> int:
    """Run a program that speaks PostgreSQL without OAuth.

    It finds PGHOST, PGPORT, PGUSER and PGDATABASE in its environment, and with --tcp PGPASSFILE: those of a private
    socket, behind which this command logs in with your token for each of its connections. No secret is in its arguments
    or its environment. When it ends, so does the socket.

    \b
    Example:
      pgbearer run "service=appdb" -- pg_dump -j 4 -Fd -f dump
      pgbearer run --tcp "host=db.example.org dbname=appdb user=app_readonly" -- java -jar report.jar
      pgbearer run --token-command "/usr/local/bin/db-token --for demo" appdb -- pg_dump --schema-only

    \b
    Exit codes: the program's own, 128 and the number of the signal that ended it; before it is started 1 refused,
    2 wrong usage, 3 the issuer or the server cannot be reached.
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    from pgbearer.client import load_client_file, plain
    from pgbearer.client.local.child import find_program
    from pgbearer.client.local.private import run_with_proxy

    words = command[1:] if command[0] == "--" else command
    if not words:
        raise UsageError("there is no program to run", hint="Say it after --: pgbearer run UPSTREAM -- CMD")
    if words is command and words[0].startswith("-"):
        raise UsageError(
            f"{plain(words[0])} stands where the program does",
            hint="Options of pgbearer go before UPSTREAM, the program after --: pgbearer run [OPTIONS] UPSTREAM -- CMD",
        )
    words = [find_program(words[0]), *words[1:]]
    found = upstreams.find(upstream, load_client_file())
    wanted = upstreams.own_upstream(found, options)
    upstreams.check([wanted])
    return run_with_proxy(wanted, words, tcp=tcp)
