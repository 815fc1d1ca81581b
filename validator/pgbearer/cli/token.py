"""``pgbearer token``: the access token for another program, through a pipe."""

import sys
from typing import Annotated

import typer

from pgbearer.cli import asking
from pgbearer.cli import show as output
from pgbearer.cli.token_options import with_token_options
from pgbearer.cli.upstreams import Options
from pgbearer.errors import UsageError

__all__ = ["token"]


@with_token_options
def token(
    *,
    options: Options,
    show: Annotated[bool, typer.Option("--show", help="Print it even on a terminal.")] = False,
    json: asking.Json = False,
) -> None:
    """Print an access token that is good now.

    It is that of the kept login, renewed if it is time; where there is none, you are asked to log in, if you are there.

    A terminal keeps what it shows: in scrollback, in recordings, on a shared screen. So the token is printed into a
    pipe or a file, and on a terminal only with --show. Do not put it into an argument or an environment variable:
    other processes can read both.

    \b
    Example:
      pgbearer token --profile corp | cut -d. -f2
      pgbearer token --issuer https://sso.example.org/realms/corp --json > token.json
      pgbearer token --token-command '/usr/local/bin/db-token --for demo' --json | jq .expires_at

    \b
    Exit codes: 0 printed; 1 refused, or nobody is logged in and nobody there to ask; 2 wrong usage; 3 the issuer cannot
    be reached.
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    if sys.stdout.isatty() and not show:
        raise UsageError(
            "standard output is a terminal, which would keep the token",
            hint="Pipe it to the program that needs it, or say --show.",
        )
    said = options
    asked = asking.ask(
        said.profile, said.issuer, said.client_id, said.scope, said.ca_file, said.manner, given=said.given
    )
    held = asked.source().token()
    if json:
        output.as_json({"access_token": held.reveal(), "issuer": asked.profile.issuer, **output.facts(held)})
    else:
        typer.echo(held.reveal())
