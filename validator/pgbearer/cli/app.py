"""The command line's entry: one typer application, one place where errors become messages and exit codes."""

import sys

import click
import typer

from pgbearer.cli.config import config
from pgbearer.cli.connect import connect
from pgbearer.cli.decisions import decisions
from pgbearer.cli.login import login
from pgbearer.cli.serve import serve
from pgbearer.cli.token import token
from pgbearer.errors import PgbearerError

__all__ = ["app", "main"]

app = typer.Typer(
    name="pgbearer",
    help="OAuth logins for PostgreSQL 18+: log in once, connect as a role, know why it was refused.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold tokens
    rich_markup_mode=None,
)


@app.callback()
def root(
    context: typer.Context,
    *,
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    """Set what every command shares."""
    context.obj = {"debug": debug}


app.command()(login)
app.command()(token)
app.command()(connect)
app.command()(serve)
app.add_typer(config)
app.add_typer(decisions)


def main() -> None:
    """Run the command line; exit 0 ok, 1 finding or refused, 2 usage or bad file, 3 unreachable."""
    debug = "--debug" in sys.argv[1:]
    try:
        code = app(standalone_mode=False)
    except PgbearerError as error:
        if debug:
            raise
        typer.echo(f"pgbearer: {error.diagnostics()}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)
