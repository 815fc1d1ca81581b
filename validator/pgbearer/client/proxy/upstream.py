"""What an upstream's connection string comes to: hosts in order, how to reach them, what is pinned. Sends nothing."""

import os
import pwd
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from psycopg.conninfo import conninfo_to_dict

from pgbearer.client.connection.conninfo import balances_load, default_host, resolve, uses_only_unix_sockets
from pgbearer.client.connection.pinned import UnsafeServerError, pin, safe_parameters
from pgbearer.client.plain import plain
from pgbearer.client.proxy.pins import Pins
from pgbearer.client.proxy.tls_settings import Tls
from pgbearer.client.sources import TokenSource
from pgbearer.errors import UsageError

__all__ = ["Admit", "Host", "Route", "Upstream", "route_of"]

Admit = Callable[[int], TokenSource | None]
"""The source for a local user by uid; None turns them away."""

_SESSION_ATTRS: Final = frozenset({"any", "read-write", "read-only", "primary", "standby", "prefer-standby"})
_UNSUPPORTED: Final = {"sslsni": "1", "sslcompression": "0"}
"""Options of libpq that only their default is there for."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A database server that the proxy logs in at.

    Args:
        name: names it in status and messages.
        conninfo: connection string or URL of libpq; service file, environment and defaults apply. The ``user``,
            ``dbname`` and ``replication`` that it, or its service, gives are the only ones that clients may have.
        pin: of ``user`` and ``dbname``, those that are held to; what is left out is the client's to choose.
        source: where tokens come from, for connections of our own uid; asked once a connection.
        issuer: the one issuer whose servers may have them, as for `pgbearer.connect`.
        behind: as for `pgbearer.connect`.
        admit: gives each local uid a source of its own instead of `source`; only where the kernel says who connects.
    """

    name: str
    conninfo: str
    source: TokenSource | None = None
    issuer: str | None = None
    behind: str | None = None
    admit: Admit | None = field(default=None, repr=False)
    pin: Collection[Literal["user", "dbname"]] = ("user", "dbname")

    def source_for(self, uid: int | None) -> TokenSource | None:
        """The source for a client by its uid, or None if it may have none; uid None is one who proved the secret."""
        if uid is None:
            return self.source
        if self.admit is not None:
            return self.admit(uid)
        return self.source if uid == os.geteuid() else None


@dataclass(frozen=True, slots=True)
class Host:
    """One entry of a host list."""

    name: str
    """What the certificate must be for; a folder or ``@name`` if it is a Unix socket's."""
    address: str | None
    """``hostaddr``: an address to use without looking the name up."""
    port: int

    @property
    def socket(self) -> str | None:
        """The path of its Unix socket, or None."""
        if self.address is not None or self.name[:1] not in ("/", "@"):
            return None
        path = f"{self.name}/.s.PGSQL.{self.port}"
        return "\0" + path[1:] if path[0] == "@" else path

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Route:
    """How to reach an upstream, worked out once."""

    upstream: Upstream
    issuer: str
    """Whose servers may have the token."""
    own_issuer: str | None
    """Whose token it may be; None is whatever the source gives."""
    hosts: tuple[Host, ...]
    at_random: bool
    tls: Tls | None
    """None where every host is a Unix socket."""
    connect_timeout: float | None
    """Seconds for each address."""
    session_attrs: str
    requirepeer: int | None
    """The uid that must serve a Unix socket."""
    pins: Pins


def route_of(upstream: Upstream) -> Route:
    """Work out an upstream's connection string, by every rule that needs no token.

    Raises:
        UsageError: it is not usable.
        UnsafeServerError: it insists on a channel that a token may not go through.
        LibpqTooOldError: there is no libpq 18.
    """
    options = resolve(upstream.conninfo, {})
    own = upstream.issuer or (upstream.source.issuer if upstream.source is not None else None)
    if upstream.issuer is not None and upstream.source is not None:
        pin((upstream.issuer, upstream.source.issuer))
    issuer = pin((upstream.behind or own, options.get("oauth_issuer")))
    options |= safe_parameters(options)
    for name, default in _UNSUPPORTED.items():
        if options.get(name, default) != default:
            raise UsageError(f"the proxy does not support {name}={plain(options[name])}", where=upstream.name)
    attrs = options.get("target_session_attrs", "any")
    if attrs not in _SESSION_ATTRS:
        raise UsageError(f"invalid target_session_attrs value: {plain(attrs)!r}", where=upstream.name)
    unix_only = uses_only_unix_sockets(options)
    return Route(
        upstream,
        issuer,
        own if upstream.behind is not None else issuer,
        tuple(_hosts(options, upstream)),
        balances_load(upstream.conninfo),
        None if unix_only else Tls(options),
        _timeout(options),
        attrs,
        _uid(options.get("requirepeer")),
        _pins(upstream, options),
    )


def _hosts(options: Mapping[str, str], upstream: Upstream) -> Iterator[Host]:
    """Host, hostaddr and port lists side by side; libpq has compared their lengths (fe-connect.c)."""
    addresses = options["hostaddr"].split(",") if options.get("hostaddr") else None
    names = options["host"].split(",") if options.get("host") else [""] * len(addresses or [""])
    ports = options.get("port", "").split(",")
    for index, name in enumerate(names):
        address = (addresses[index] or None) if addresses is not None else None
        host = Host(name if name or address else default_host(), address, _port(ports[index % len(ports)], upstream))
        if host.socket is None and not name:
            raise UnsafeServerError(
                "a host must be named for its certificate to be verified", where=upstream.name, hint="Add host=NAME."
            )
        yield host


def _port(text: str, upstream: Upstream) -> int:
    try:
        port = int(text or "5432")
    except ValueError:
        port = 0
    if not 1 <= port <= 65_535:
        raise UsageError(f"invalid port number: {plain(text)!r}", where=upstream.name)
    return port


def _timeout(options: Mapping[str, str]) -> float | None:
    """``connect_timeout``: zero and less is none (fe-connect.c)."""
    try:
        seconds = int(options.get("connect_timeout") or "0")
    except ValueError:
        raise UsageError(f"invalid connect_timeout: {plain(options['connect_timeout'])!r}") from None
    return float(seconds) if seconds > 0 else None


def _uid(user: str | None) -> int | None:
    if not user:
        return None
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise UsageError(f"requirepeer: no user {plain(user)!r}") from None


def _pins(upstream: Upstream, options: Mapping[str, str]) -> Pins:
    """What was said of user and database, and not merely made up by libpq.

    Where nobody says a user, libpq takes the one who runs the process, and for the database the user's name. Where a
    service file is read it cannot be told whether it said so too: then what libpq made of it is pinned.
    """
    said = conninfo_to_dict(upstream.conninfo)
    by_service = "service" in options or "PGSERVICE" in os.environ

    def pinned(keyword: str, variable: str, made_up: str | None) -> bytes | None:
        value = options.get(keyword)
        if value is None or said.get(keyword) or os.environ.get(variable) or value != made_up:
            return value.encode() if value else None
        return value.encode() if by_service else None

    user = options.get("user")
    return Pins(
        pinned("user", "PGUSER", _own_name()) if "user" in upstream.pin else None,
        pinned("dbname", "PGDATABASE", user) if "dbname" in upstream.pin else None,
        options["replication"].encode() if options.get("replication") else None,
    )


def _own_name() -> str | None:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return None
