"""``pgbearer connect``: log in to a database and say as whom, or run one command there."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgbearer.cli import asking, show, upstreams
from pgbearer.cli.token_options import with_token_options

if TYPE_CHECKING:
    import psycopg

    from pgbearer import client

__all__ = ["connect"]

Conninfo = Annotated[
    str,
    typer.Argument(
        metavar="CONNINFO",
        help="Connection string or URL; service files and PG* as in psql. Or an upstream of client.toml.",
        autocompletion=upstreams.upstream_names,
    ),
]
Command = Annotated[str | None, typer.Option("--command", metavar="SQL", help="Run this and print what it returns.")]


@with_token_options
def connect(
    *,
    conninfo: Conninfo = "",
    command: Command = None,
    options: upstreams.Options,
    json: asking.Json = False,
) -> None:
    """Connect to a database, and print who you are there.

    With the token of the kept login, renewed if it is time; where there is none, you are asked to log in. The server is
    asked first, so that nobody logs in for one that is not there or wants something else.

    The token is handed over only on a Unix socket or under TLS with sslmode=verify-full (which is set if nothing else
    is), and only to a server that asks for tokens of the same issuer. The issuer may also stand in the connection
    string or service file, as oauth_issuer; the profile for it is then used.

    \b
    Example:
      pgbearer connect "host=db dbname=appdb user=app_readonly" --profile corp
      pgbearer connect appdb
      pgbearer connect "service=appdb" --command "SELECT count(*) FROM orders"
      pgbearer connect "service=appdb" --token-file /run/token/db

    \b
    Exit codes: 0 ok, 1 refused or the command failed, 2 wrong usage, 3 the issuer or the server cannot be reached.
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    from pgbearer import client

    found = upstreams.find(conninfo, client.load_client_file())
    with upstreams.connected(found, options) as (connection, token):
        if command is not None:
            _run(connection, command, json=json)
        else:
            _introduce(connection, token, json=json)


def _introduce(connection: "psycopg.Connection[Any]", token: "client.AccessToken", *, json: bool) -> None:
    from pgbearer.client import plain

    row = connection.execute("SELECT system_user, current_user, current_database()").fetchone() or (None,) * 3
    system_user, current_user, database = map(str, row)
    if json:
        names = {"system_user": system_user, "current_user": current_user, "database": database}
        show.as_json(names | {"token_expires_at": token.expires_at and round(token.expires_at), "token_ref": token.ref})
        return
    show.pairs(
        {
            "system_user": plain(system_user),
            "current_user": plain(current_user),
            "database": plain(database),
            "token expires": show.until(token.expires_at, time.time()),
        }
    )


def _run(connection: "psycopg.Connection[Any]", command: str, *, json: bool) -> None:
    """Run `command`, which may be several statements, and print each result."""
    import psycopg

    from pgbearer.client import plain
    from pgbearer.errors import PgbearerError

    try:
        cursor = connection.execute(command.encode())
    except psycopg.Error as error:
        raise PgbearerError("\n".join(plain(line) for line in str(error).splitlines())) from None
    while True:
        _print_result(cursor, json=json)
        if not cursor.nextset():
            return


def _print_result(cursor: "psycopg.Cursor[Any]", *, json: bool) -> None:
    from pgbearer.client import plain

    columns = [column.name for column in cursor.description or ()]
    if json:
        rows = [dict(zip(columns, row, strict=True)) for row in cursor] if columns else []
        show.as_json({"status": cursor.statusmessage, "rows": rows})
    elif columns:
        show.table([plain(name) for name in columns], _cells(cursor))
    else:
        typer.echo(plain(cursor.statusmessage or ""))


def _cells(cursor: "psycopg.Cursor[Any]") -> list[list[str]]:
    """The rows as PostgreSQL itself writes them, with what a terminal would obey escaped; null is empty, as in psql."""
    from pgbearer.client import plain

    result, encoding = cursor.pgresult, cursor.connection.info.encoding
    if result is None:
        return []
    values = ([result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples))
    return [
        ["" if value is None else plain(bytes(value).decode(encoding), limit=len(value)) for value in row]
        for row in values
    ]
