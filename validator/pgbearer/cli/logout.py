"""``pgbearer logout``: end a login, here and at the authorization server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pgbearer.cli import asking, show

if TYPE_CHECKING:
    from pgbearer.client import PersonSource
    from pgbearer.errors import PgbearerError

__all__ = ["logout"]


def logout(
    *,
    every: Annotated[bool, typer.Option("--all", help="End every login that is kept.")] = False,
    profile: asking.ProfileName = None,
    issuer: asking.Issuer = None,
    client_id: asking.ClientId = None,
    scope: asking.Scope = None,
    ca_file: asking.CaFile = None,
) -> int:
    """End a login, here and at the authorization server.

    The session there is ended, what could renew it is revoked, and the login is forgotten here in any case. Where the
    authorization server cannot be reached, that is said: the session may go on until it ends by itself. A token that a
    database has already seen ends no earlier by this. --issuer alone means every login there.

    \b
    Example:
      pgbearer logout --profile corp
      pgbearer logout --issuer https://sso.example.org/realms/corp
      pgbearer logout --all

    \b
    Exit codes: 0 ended, or there was none; 1 the server refused; 2 wrong usage; 3 it could not be reached.
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    from pgbearer.cli.kept import every_login

    if every:
        sources = every_login(ca_file)
    else:
        asked = asking.ask(profile, issuer, client_id, scope, ca_file).login()
        sources = [asked] if any((profile, client_id, scope)) or not issuer else _all_there(asked, ca_file)
    failures = [failure for source in sources if (failure := _end(source)) is not None]
    if every and not sources:
        show.line("no login is kept here")
    return max((failure.exit_code for failure in failures), default=0)


def _all_there(asked: "PersonSource", ca_file: Path | None) -> "list[PersonSource]":
    """Every login that is kept for the issuer of `asked`, for whatever client and scopes; `asked` if there is none."""
    from pgbearer.cli.kept import every_login

    here = (asked.where, asked.key)
    others = [one for one in every_login(ca_file) if one.issuer == asked.issuer and (one.where, one.key) != here]
    return [*([asked] if asked.kept() is not None else []), *others] or [asked]


def _end(source: "PersonSource") -> "PgbearerError | None":
    """End one login, and say what came of it; the error, if it may live on at its issuer."""
    from pgbearer.client import StoreError
    from pgbearer.errors import PgbearerError

    try:
        ended = source.log_out()
    except StoreError:
        raise
    except PgbearerError as error:
        typer.echo(
            f"pgbearer: forgotten here, but the session at {source.issuer} could not be ended: {error.diagnostics()}",
            err=True,
        )
        return error
    show.line(f"logged out at {source.issuer}" if ended else f"no login is kept for {source.issuer}")
    return None
