"""``pgbearer proxy``: logs in for programs that cannot, until it is told to end; and how it is."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from pgbearer.cli import asking, doors, show, upstreams
from pgbearer.cli.token_options import with_token_options
from pgbearer.errors import UsageError

if TYPE_CHECKING:
    from pgbearer.client.local.layout import Layout
    from pgbearer.client.local.peers import Peers
    from pgbearer.client.local.seen import SeenSource
    from pgbearer.client.local.serving import Serving
    from pgbearer.client.profiles import Pin
    from pgbearer.client.proxy import Upstream

__all__ = ["proxy"]

_BOTH: "Final[tuple[Pin, ...]]" = ("user", "dbname")


class _StartsByDefault(TyperGroup):
    """``pgbearer proxy UPSTREAM`` is ``pgbearer proxy start UPSTREAM``."""

    default_command: Final = "start"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in ("--help", *self.commands):
            args = [self.default_command, *args]
        return super().parse_args(ctx, args)


proxy = typer.Typer(
    name="proxy",
    cls=_StartsByDefault,
    help="Serve programs that cannot do OAuth: `pgbearer proxy UPSTREAM`.",
)

_Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="DIR",
        help="Holds a folder for each upstream.  [default: pgbearer in XDG_RUNTIME_DIR, or the platform's place]",
    ),
]


@proxy.command()
@with_token_options
def start(
    *,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[UPSTREAM]...",
            help="Upstreams of client.toml, connection strings or URLs.  [default: all upstreams of client.toml]",
            autocompletion=upstreams.upstream_names,
        ),
    ] = None,
    folder: _Folder = None,
    port: Annotated[
        int, typer.Option("--port", min=1, max=65_535, help="Part of the Unix sockets' names, as clients say it.")
    ] = 5432,
    tcp: Annotated[
        bool, typer.Option("--tcp", help="Also a port of the loopback, behind a secret that is written to a passfile.")
    ] = False,
    tcp_port: Annotated[
        int, typer.Option("--tcp-port", min=0, max=65_535, help="Which one; 0 is any that is free.")
    ] = 0,
    idle: Annotated[
        float | None, typer.Option("--idle", min=0.1, metavar="SECONDS", help="End connections that are idle so long.")
    ] = None,
    lifetime: Annotated[
        float | None, typer.Option("--lifetime", min=0.1, metavar="SECONDS", help="End connections that are so old.")
    ] = None,
    drain: Annotated[
        float, typer.Option("--drain", min=0, metavar="SECONDS", help="What connections have to finish at its end.")
    ] = 30.0,
    peers: Annotated[
        bool, typer.Option("--peers", help="Serve the local users that [peers] of client.toml names, and nobody else.")
    ] = False,
    options: upstreams.Options,
    as_json: asking.Json = False,
) -> None:
    """Serve programs that cannot do OAuth, until SIGTERM or Ctrl-C.

    Each upstream gets a folder of its own (0700) with a Unix socket, which only your programs reach. Whoever connects
    there is logged in at the server with your token. The servers are asked first and you are asked to log in, if that
    is necessary, before it says that it is ready. What the connection string says of user and dbname is held to.

    SIGTERM lets connections finish for as long as --drain says, a second one ends them. Sockets that systemd hands over
    are used instead of own ones; then nothing is asked before a program connects.

    \b
    Example:
      pgbearer proxy appdb
      pgbearer proxy "service=appdb" "service=orders" --idle 3600
      pgbearer proxy --tcp "host=db.example.org dbname=appdb user=app_readonly" --profile corp
      pgbearer proxy --token-file /run/token/db appdb

    \b
    Exit codes: 0 ended as told, 1 refused, 2 wrong usage, 3 the issuer or a server cannot be reached.
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    from pgbearer.client.local.layout import Layout
    from pgbearer.client.local.serving import run_serving
    from pgbearer.client.proxy import ProxySettings
    from pgbearer.systemd import inherited_sockets

    if peers and options.given is not None:
        said = options.given.option
        raise UsageError(f"{said} is one token for all, and --peers gives each their own", hint="Use profiles.")
    layout = Layout(folder, port, tcp_port if tcp or tcp_port else None, peers, inherited_sockets())
    servings = _servings(names or (), options, layout)
    if not layout.handed:
        upstreams.check([serving.upstream for serving in servings])
    settings = ProxySettings(idle_seconds=idle, lifetime_seconds=lifetime, drain_seconds=drain)
    run_serving(servings, settings, lambda status: doors.say_ready(servings, status, as_json=as_json))


@proxy.command()
def status(*, folder: _Folder = None, as_json: asking.Json = False) -> int:
    """Say which proxies run, for whom, and what went wrong last.

    \b
    Example:
      pgbearer proxy status
      pgbearer proxy status --json

    \b
    Exit codes: 0 one runs, 1 none does, 2 wrong usage.
    """  # noqa: D301  \b is the character by which click keeps lines as they are
    from pgbearer.client.local.places import runtime_folder
    from pgbearer.client.local.status_socket import ask_all

    base = folder or runtime_folder()
    found = list(ask_all(base))
    if as_json:
        show.as_json(found)
    elif found:
        doors.table(found, time.time())
    else:
        typer.echo(f"no proxy runs in {show.plain(base)}")
    return 0 if found else 1


def _servings(names: Sequence[str], options: upstreams.Options, layout: "Layout") -> "list[Serving]":
    """The upstreams, their sources and their places; the folders are there when this returns."""
    from pgbearer.client import load_client_file
    from pgbearer.client.local.peers import Peers
    from pgbearer.client.local.serving import Serving

    file = load_client_file()
    found = [upstreams.find(name, file) for name in names or file.upstreams]
    if not found:
        raise UsageError("no upstream is named", where=str(file.path), hint="Name one: pgbearer proxy UPSTREAM...")
    peers = Peers(file) if layout.shared else None
    sources = upstreams.Sources(options)
    made = [_shared(one, sources, peers) if peers else _own(one, sources) for one in found]
    spots = layout.make([one.name for one in found])
    return [Serving(*one, spot, shared=layout.shared) for one, spot in zip(made, spots, strict=True)]


def _own(found: upstreams.Found, sources: upstreams.Sources) -> "tuple[Upstream, dict[str, SeenSource]]":
    from pgbearer.client.proxy import Upstream

    asked = sources.asked(found)
    if os.geteuid() == 0 and asked.profile.source.interactive:
        raise UsageError(
            "root lends nobody's login to the programs of root",
            hint="Run it as the person whose login it is, or give the profile a source that asks nobody.",
        )
    source, profile = sources.source(asked), asked.profile
    pin = _BOTH if found.pin is None else found.pin
    upstream = Upstream(found.name, found.conninfo, source, profile.issuer, found.behind or profile.behind, pin=pin)
    return upstream, {"": source}


def _shared(
    found: upstreams.Found, sources: upstreams.Sources, peers: "Peers"
) -> "tuple[Upstream, dict[str, SeenSource]]":
    from pgbearer.client.proxy import Upstream
    from pgbearer.hardening import forbid_dumps

    forbid_dumps()
    profile = sources.asked(found).profile
    known = peers.sources(profile, found.behind)

    def admit(uid: int) -> "SeenSource | None":
        return known[uid][1] if uid in known else None

    pin = _BOTH if found.pin is None else found.pin
    behind = found.behind or profile.behind
    upstream = Upstream(found.name, found.conninfo, None, profile.issuer, behind, admit, pin)
    return upstream, dict(known.values())
