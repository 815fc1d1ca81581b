"""Where the commands that connect lead, and with whose tokens: a name of client.toml, or a connection string."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pgbearer.cli import asking
from pgbearer.cli.given import Given
from pgbearer.errors import UsageError

if TYPE_CHECKING:
    import psycopg

    from pgbearer.client import AccessToken, ClientFile, Manner
    from pgbearer.client.local.seen import SeenSource
    from pgbearer.client.profiles import Pin
    from pgbearer.client.proxy import Upstream

__all__ = ["Found", "Options", "Sources", "changed", "check", "connected", "find", "own_upstream", "upstream_names"]

_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_URLS: Final = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class Options:
    """What a command's options say of whose tokens are used."""

    profile: str | None
    issuer: str | None
    client_id: str | None
    scope: str | None
    ca_file: Path | None
    manner: "Manner"
    given: Given | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One upstream, before anybody is asked for a token."""

    name: str
    conninfo: str
    profile: str | None = None
    pin: "tuple[Pin, ...] | None" = None
    behind: str | None = None


class Sources:
    """Sources by what the options come to: upstreams with the same profile share one, and so one login."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._made: list[tuple[asking.Asked, SeenSource]] = []

    def asked(self, found: Found) -> asking.Asked:
        """The profile that counts for `found`. Raises UsageError."""
        from pgbearer.client import oauth_settings

        said = self._options
        profile = said.profile or (found.profile if said.issuer is None else None)
        named = oauth_settings(found.conninfo)
        return asking.ask(
            profile, said.issuer, said.client_id, said.scope, said.ca_file, said.manner, named=named, given=said.given
        )

    def source(self, asked: asking.Asked) -> "SeenSource":
        """Its source. From here on this process keeps its memory to itself. Raises UsageError."""
        from pgbearer.client.local.seen import SeenSource

        known = next((source for other, source in self._made if other == asked), None)
        if known is None:
            known = SeenSource(asked.source())
            self._made.append((asked, known))
        return known


def own_upstream(found: Found, options: Options) -> "Upstream":
    """For one program of the person: role and database are its own choice, unless client.toml pins them.

    Raises:
        UsageError: no issuer is given, or no such profile, or client.toml cannot be used.
    """
    from pgbearer.client.proxy import Upstream

    sources = Sources(options)
    asked = sources.asked(found)
    source, profile = sources.source(asked), asked.profile
    behind = found.behind or profile.behind
    return Upstream(found.name, found.conninfo, source, profile.issuer, behind, pin=found.pin or ())


@contextmanager
def connected(found: Found, options: Options) -> "Iterator[tuple[psycopg.Connection[Any], AccessToken]]":
    """Logged in at `found`, with which token; each statement by itself. The server is asked first, for whom it wants.

    Raises:
        PgbearerError: there is no token, or the server refuses it, is not there or wants something else.
    """
    from pgbearer import client

    asked = Sources(options).asked(found)
    source, chosen = asked.source(), asked.profile
    behind = found.behind or chosen.behind
    client.check_server(found.conninfo, issuer=behind or chosen.issuer)
    token = source.token()
    with client.connect(
        found.conninfo, token=token, issuer=chosen.issuer, behind=behind, autocommit=True
    ) as connection:
        yield connection, token


def upstream_names(incomplete: str) -> list[str]:
    """For the shell's completion: what cannot be read completes to nothing."""
    from pgbearer.client import load_client_file
    from pgbearer.errors import PgbearerError

    try:
        return [name for name in load_client_file().upstreams if name.startswith(incomplete)]
    except PgbearerError:
        return []


def find(text: str, file: "ClientFile") -> Found:
    """What `text` means: an upstream of client.toml, else a connection string or URL.

    Raises:
        UsageError: it is neither.
    """
    if text in file.upstreams:
        said = file.upstreams[text]
        return Found(text, said.conninfo, said.profile, said.pin, said.behind)
    if text and "=" not in text and not text.startswith(_URLS):
        from pgbearer.client.plain import plain
        from pgbearer.client.profiles.decode import near

        raise UsageError(
            f"no upstream is called {plain(text)!r}{near(text, file.upstreams)}",
            where=str(file.path),
            hint='Name one of [upstreams], or give a connection string: "service=appdb", "host=db dbname=appdb".',
        )
    return Found(_name_of(text), text)


def changed(found: Found, conninfo: str) -> Found:
    """With what a second connection string says instead of, or beside, its own. Raises UsageError."""
    from dataclasses import replace

    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    return replace(found, conninfo=make_conninfo(found.conninfo, **conninfo_to_dict(conninfo)))


def check(upstreams: "Sequence[Upstream]") -> None:
    """Ask each server, and then whoever has to log in: what is ready after this serves its first client at once.

    Raises:
        PgbearerError: a connection string cannot be used, which is seen before any server is asked; a server is not
            there or wants something else, or there is no token.
    """
    from pgbearer.client import check_server
    from pgbearer.client.proxy.upstream import route_of

    for upstream in upstreams:
        route_of(upstream)
    for upstream in upstreams:
        check_server(upstream.conninfo, issuer=upstream.behind or upstream.issuer or "")
    for upstream in upstreams:
        if upstream.source is not None:
            upstream.source.token()


def _name_of(conninfo: str) -> str:
    """Its service's name, else its first host's, as a folder can be called."""
    from pgbearer.client.connection.conninfo import resolve

    options = resolve(conninfo, {})
    name = options.get("service") or options.get("host", "").partition(",")[0] or "local"
    return _UNUSUAL.sub("_", name).lstrip("._-")[:63] or "local"
