"""``pgbearer token``: the access token for another program, through a pipe."""

import sys
from typing import Annotated

import typer

from pgbearer.cli import asking
from pgbearer.cli import show as output
from pgbearer.errors import UsageError

__all__ = ["token"]


def token(
    *,
    issuer: asking.Issuer = None,
    client_id: asking.ClientId = None,
    scope: asking.Scope = None,
    qr: asking.Qr = False,
    no_browser: asking.NoBrowser = False,
    ca_file: asking.CaFile = None,
    show: Annotated[bool, typer.Option("--show", help="Print it even on a terminal.")] = False,
    json: asking.Json = False,
) -> None:
    """Log in by device code and print the access token.

    A terminal keeps what it shows: in scrollback, in recordings, on a shared screen. So the token is printed into a
    pipe or a file, and on a terminal only with --show. Do not put it into an argument or an environment variable:
    other processes can read both.

    \b
    Example:
      pgbearer token --issuer https://sso.example.org/realms/corp | cut -d. -f2
      pgbearer token --issuer https://sso.example.org/realms/corp --json > token.json

    \b
    Exit codes: 0 printed, 1 refused or expired, 2 wrong usage, 3 the issuer cannot be reached.
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    if sys.stdout.isatty() and not show:
        raise UsageError(
            "standard output is a terminal, which would keep the token",
            hint="Pipe it to the program that needs it, or say --show.",
        )
    source = asking.person_source(issuer, client_id, scope, ca_file=ca_file, qr=qr, no_browser=no_browser)
    held = source.token()
    if json:
        output.as_json({"access_token": held.reveal(), "issuer": source.issuer, **output.facts(held)})
    else:
        typer.echo(held.reveal())
