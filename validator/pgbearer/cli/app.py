"""The command line's entry: one typer application, one place where errors become messages and exit codes."""

import sys
from importlib.metadata import version

import typer

from pgbearer.cli.cnpg import cnpg
from pgbearer.cli.config import config
from pgbearer.cli.connect import connect
from pgbearer.cli.decisions import decisions
from pgbearer.cli.explain import explain
from pgbearer.cli.login import login
from pgbearer.cli.logout import logout
from pgbearer.cli.policy import policy
from pgbearer.cli.proxy import proxy
from pgbearer.cli.psql import CONTEXT as PSQL_CONTEXT
from pgbearer.cli.psql import psql
from pgbearer.cli.revoke import revoke
from pgbearer.cli.run import CONTEXT as RUN_CONTEXT
from pgbearer.cli.run import run
from pgbearer.cli.serve import serve
from pgbearer.cli.status import status
from pgbearer.cli.token import token
from pgbearer.errors import PgbearerError

__all__ = ["app", "kubectl", "main"]


def _leave(code: int | None, **_options: object) -> None:
    """What a command returns is the exit code; None is 0."""
    raise typer.Exit(code or 0)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pgbearer {version('pgbearer')}")
        raise typer.Exit


app = typer.Typer(
    name="pgbearer",
    help="OAuth logins for PostgreSQL 18+: log in once, connect as a role, know why it was refused.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold tokens
    rich_markup_mode=None,
    result_callback=_leave,
)


@app.callback()
def root(
    *,
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Set what every command shares."""


app.command()(login)
app.command()(logout)
app.command()(status)
app.command()(token)
app.command()(connect)
app.command(context_settings=PSQL_CONTEXT)(psql)
app.command(context_settings=RUN_CONTEXT)(run)
app.add_typer(proxy)
app.command()(serve)
app.command()(explain)
app.add_typer(cnpg)
app.add_typer(config)
app.add_typer(decisions)
app.add_typer(policy)
app.add_typer(revoke)


def main() -> None:
    """Run the command line; exit 0 ok, 1 finding or refused, 2 usage or bad file, 3 unreachable, 130 interrupted.

    Typer itself shows mistakes in the options and turns an interrupt into an exit code: its exceptions are its own, and
    not those of the package click, which the base install does not have.
    """
    _run(app)


def kubectl() -> None:
    """Run ``kubectl pgbearer``: what `cnpg` has, as a plugin of kubectl; exits as `main`."""
    plugin = typer.Typer(
        name="kubectl pgbearer",
        help="Make and check Clusters of CloudNativePG, and say how they are.",
        no_args_is_help=True,
        pretty_exceptions_show_locals=False,
        rich_markup_mode=None,
        result_callback=_leave,
    )
    plugin.add_typer(cnpg, name="")
    _run(plugin)


def _run(commands: typer.Typer) -> None:
    try:
        commands()
    except PgbearerError as error:
        if "--debug" in sys.argv[1:]:
            raise
        typer.echo(f"pgbearer: {error.diagnostics()}", err=True)
        sys.exit(error.exit_code)
