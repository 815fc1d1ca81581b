"""The options with which `login`, `token` and `connect` say who is asked for a token, and how the code is shown."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pgbearer.client import PersonSource

__all__ = ["CaFile", "ClientId", "Device", "Issuer", "Json", "NoBrowser", "Qr", "Scope", "person_source"]

Issuer = Annotated[
    str | None,
    typer.Option(
        "--issuer",
        envvar="PGBEARER_ISSUER",
        metavar="URL",
        help="The authorization server's issuer, exactly as it names itself.",
    ),
]
ClientId = Annotated[
    str | None,
    typer.Option(
        "--client-id",
        envvar="PGBEARER_CLIENT_ID",
        metavar="ID",
        help="A public client that may use the device grant.  [default: pgbearer-cli]",
    ),
]
Scope = Annotated[
    str | None,
    typer.Option(
        "--scope",
        envvar="PGBEARER_SCOPE",
        metavar="SCOPES",
        help="Scopes to ask for, separated by spaces.  [default: the client's]",
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        envvar="PGBEARER_CA_FILE",
        metavar="FILE",
        help="PEM certificates to trust for the issuer, instead of the system's. "
        "The database's own is sslrootcert= in the connection string.",
    ),
]
Device = Annotated[
    bool,
    typer.Option(
        "--device", show_default=False, help="Log in by device code: so far the only way, and what is done without it."
    ),
]
Qr = Annotated[bool, typer.Option("--qr", help="Also draw the address as a QR code.")]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_CLIENT_ID = "pgbearer-cli"


def person_source(
    issuer: str | None, client_id: str | None, scope: str | None, *, ca_file: Path | None, qr: bool, no_browser: bool
) -> "PersonSource":
    """The source that these options describe; it prompts on standard error.

    From here on this process, which will hold the token, keeps its memory to itself.

    Raises:
        UsageError: no issuer is given.
    """
    from pgbearer.client import PersonSource, TerminalPrompt
    from pgbearer.errors import UsageError
    from pgbearer.hardening import forbid_dumps

    if not issuer:
        raise UsageError("no issuer is given", hint="Give --issuer URL, or set PGBEARER_ISSUER.")
    forbid_dumps()
    prompt = TerminalPrompt(qr=qr, browser=False if no_browser else None)
    client = client_id or _CLIENT_ID
    return PersonSource(issuer, client, scope, device_client_id=client, how="device", show=prompt, ca_file=ca_file)
