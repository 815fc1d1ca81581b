"""The options with which commands say who is asked for a token, and how; all of them mean the same everywhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

from pgbearer.cli.given import Given

if TYPE_CHECKING:
    from pgbearer.client import ClientFile, Manner, OAuthSettings, PersonSource, Profile, TokenSource

__all__ = [
    "Asked",
    "CaFile",
    "ClientId",
    "Device",
    "Issuer",
    "Json",
    "NoBrowser",
    "ProfileName",
    "Qr",
    "Scope",
    "ask",
    "manner",
]


def _profile_names(incomplete: str) -> list[str]:
    """For the shell's completion: what cannot be read completes to nothing."""
    from pgbearer.client import load_client_file
    from pgbearer.errors import PgbearerError

    try:
        return [name for name in load_client_file().profiles if name.startswith(incomplete)]
    except PgbearerError:
        return []


ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        envvar="PGBEARER_PROFILE",
        metavar="NAME",
        autocompletion=_profile_names,
        help="A profile of client.toml; what other options say goes before it.  [default: the file's default]",
    ),
]
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
        help="A public client to log in as.  [default: pgbearer-cli, and pgbearer-device by device code]",
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
Device = Annotated[bool, typer.Option("--device", help="Log in by device code, also where a browser could be opened.")]
Qr = Annotated[bool, typer.Option("--qr", help="By device code: also draw the address as a QR code.")]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Open no browser: log in by device code.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_NO_OTHERS: Final = "What it proves itself with is no other issuer's business: leave --issuer and PGBEARER_ISSUER out."


@dataclass(frozen=True, slots=True)
class Asked:
    """The profile that the options come to, and how a person is spoken to."""

    name: str | None
    profile: "Profile"
    folder: Path | None
    manner: "Manner"
    given: Given | None = None

    def source(self) -> "TokenSource":
        """The source of its tokens. From here on this process keeps its memory to itself. Raises UsageError."""
        from pgbearer.client import source_of_profile
        from pgbearer.hardening import forbid_dumps

        forbid_dumps()
        if self.given is not None:
            return self.given.source
        return source_of_profile(self.profile, name=self.name, folder=self.folder, manner=self.manner)

    def login(self) -> "PersonSource":
        """As `source`, for what only a person's login can do. Raises UsageError for another kind of profile."""
        from pgbearer.client import login_of_profile
        from pgbearer.hardening import forbid_dumps

        forbid_dumps()
        return login_of_profile(self.profile, name=self.name, folder=self.folder, manner=self.manner)


def manner(*, device: bool, qr: bool, no_browser: bool, always: bool = False) -> "Manner":
    """How a person is spoken to: on standard error, if there is a terminal to ask one at, or `always`."""
    from pgbearer.client import Manner, TerminalPrompt
    from pgbearer.client.login.prompt import somebody_is_there

    if not always and not somebody_is_there():
        return Manner(how="never")
    prompt = TerminalPrompt(qr=qr, browser=False if no_browser else None)
    return Manner(how="device" if device or qr or no_browser else "auto", show=prompt, browse=prompt.browse)


def ask(
    profile: str | None,
    issuer: str | None,
    client_id: str | None,
    scope: str | None,
    ca_file: Path | None,
    manner: "Manner | None" = None,
    *,
    named: "OAuthSettings | None" = None,
    given: Given | None = None,
) -> Asked:
    """What the options of these names come to: a profile, with what the others say instead of it.

    The profile is the named one, else the one for the issuer, else the default one. What the options say of a token
    goes before its source; where nobody else names an issuer, that token does, before the default profile.

    Args:
        profile: of client.toml.
        issuer: likewise the next three; they go before what the profile says.
        client_id: for both ways to log in.
        scope: separated by spaces.
        ca_file: relative to the working folder.
        manner: how a person is spoken to; not at all if None.
        named: what a connection string says. Its issuer counts where no option names a profile or an issuer; the rest
            of it where no profile is for servers that ask for that issuer's tokens, so that a login of the profile is
            used and not another one.
        given: where the token is had instead of as the profile says; nobody is asked for one.

    Raises:
        UsageError: no issuer is given, or no such profile, or another issuer for a profile whose secrets and tokens
            are for its own, or client.toml cannot be used.
        PgbearerError: `given` must say the issuer, and has no token.
    """
    from pgbearer.client import Manner, Profile, load_client_file, plain
    from pgbearer.errors import UsageError

    file = load_client_file()
    hinted = named.issuer if named is not None and profile is None and issuer is None else None
    if given is not None and profile is None and hinted is None:
        issuer = issuer or given.issuer()
    name = profile or _name(file, issuer, hinted)
    if name is None:
        issuer = issuer or hinted
        if named is not None:
            client_id, scope = client_id or named.client_id, scope or named.scope
        if issuer is None:
            raise UsageError(
                "no issuer is given" if given is None else "no issuer is given, and the token names none",
                hint="Give --issuer URL or --profile NAME, or set PGBEARER_ISSUER.",
            )
    said: dict[str, Any] = {"issuer": issuer, "client_id": client_id, "device_client_id": client_id, "scope": scope}
    said["ca_file"] = None if ca_file is None else str(ca_file.absolute())
    said["source"] = None if given is None else given.settings
    base = Profile(issuer=issuer or "") if name is None else file.profile(name)
    if issuer is not None and issuer != base.issuer:
        if given is None and not base.source.interactive:
            other = f"{plain(base.issuer)} alone, and another issuer is asked for: {plain(issuer)}"
            raise UsageError(f"the profile {name} is for {other}", hint=_NO_OTHERS)
        base = msgspec.structs.replace(base, behind=None)  # that is about the other one's tokens
    chosen = msgspec.structs.replace(base, **{key: value for key, value in said.items() if value is not None})
    return Asked(name, chosen, None if name is None else file.path.parent, manner or Manner(how="never"), given)


def _name(file: "ClientFile", issuer: str | None, hinted: str | None) -> str | None:
    """Of the profile for an issuer, else for servers that ask for another one's tokens, else of the default one."""
    if issuer is not None:
        return file.named_for(issuer)
    return file.default if hinted is None else file.named_for_servers_of(hinted)
