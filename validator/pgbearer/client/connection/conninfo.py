"""What a connection string means once libpq has added service file, environment and defaults."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgbearer.client.connection import libpq
from pgbearer.client.login.metadata import issuer_of
from pgbearer.client.plain import plain
from pgbearer.errors import UsageError

__all__ = [
    "NO_PASSFILE",
    "ConnectionParameter",
    "OAuthSettings",
    "balances_load",
    "default_host",
    "oauth_settings",
    "resolve",
    "uses_only_unix_sockets",
]

ConnectionParameter = str | int | None

NO_PASSFILE: Final = "/dev/null/none"
"""A path that cannot exist: an empty one would mean ~/.pgpass, and libpq warns on stderr about /dev/null itself."""

_PROBE: Final = "resolve-only"


class OAuthSettings(NamedTuple):
    """``oauth_issuer`` (the issuer, even where its metadata's URL stands), ``oauth_client_id`` and ``oauth_scope``."""

    issuer: str | None
    client_id: str | None
    scope: str | None


def resolve(conninfo: str, parameters: Mapping[str, ConnectionParameter]) -> dict[str, str]:
    """Return every connection option as libpq sees it: `parameters`, `conninfo`, service file, environment, default.

    libpq itself does the work, so that nothing here can read a service file another way than the connection will. It
    resolves all options before it checks their values, and connects only after that: one impossible value
    (``load_balance_hosts``) makes PQconnectStart stop in between (fe-connect.c, pqConnectOptions2). Nothing is sent.

    Args:
        conninfo: a connection string or URL; may be empty.
        parameters: keywords that override it, as psycopg takes them.

    Returns:
        Keyword to value; options without a value are absent. ``password`` is never among them.

    Raises:
        UsageError: libpq does not understand it; its own words are in the message.
        LibpqTooOldError: there is no libpq 18.
    """
    libpq.load()
    try:
        return _resolve(conninfo, parameters)
    except UnicodeError:
        raise UsageError(
            "what says where to connect is not UTF-8",
            hint="Look at the connection string, the service file and the PG* variables.",
        ) from None


def balances_load(conninfo: str) -> bool:
    """Whether the hosts of a connection string are to be tried in random order (``load_balance_hosts``).

    `resolve` cannot say so, because it sets that option; this sets another one that is checked as late.
    """
    attempt = pq.PGconn.connect_start(make_conninfo(conninfo, target_session_attrs=_PROBE).encode())
    try:
        return any(option.keyword == b"load_balance_hosts" and option.val == b"random" for option in attempt.info)
    finally:
        attempt.finish()


def default_host() -> str:
    """The folder of Unix sockets where libpq goes if it is told no host, or ``localhost``."""
    attempt = pq.PGconn.connect_start(f"host='' load_balance_hosts={_PROBE}".encode())
    try:
        return attempt.host.decode()
    finally:
        attempt.finish()


def uses_only_unix_sockets(options: Mapping[str, str]) -> bool:
    """Whether no host among resolved `options` can lead to a TCP connection (fe-connect.c, pqConnectOptions2).

    `hostaddr` wins over `host`; a host that begins with ``/`` or ``@`` is a socket; none at all is the default socket.
    """
    if options.get("hostaddr"):
        return False
    return all(host == "" or host[0] in "/@" for host in options.get("host", "").split(","))


def oauth_settings(conninfo: str) -> OAuthSettings:
    """What a connection string, its service file or the environment say about the login.

    Raises:
        UsageError: libpq does not understand it.
        LibpqTooOldError: there is no libpq 18.
    """
    options = resolve(conninfo, {})
    issuer = options.get("oauth_issuer")
    return OAuthSettings(
        issuer and (issuer_of(issuer) or issuer), options.get("oauth_client_id"), options.get("oauth_scope")
    )


def _resolve(conninfo: str, parameters: Mapping[str, ConnectionParameter]) -> dict[str, str]:
    try:
        if conninfo_to_dict(conninfo, **parameters).get("password") is not None:
            raise UsageError("a password has no place in an OAuth login", hint="Take it out of the connection string.")
        probe = make_conninfo(conninfo, **{**parameters, "load_balance_hosts": _PROBE, "passfile": NO_PASSFILE})
    except psycopg.ProgrammingError as error:
        raise UsageError(f"not a connection string: {plain(str(error).strip())}") from None
    return _resolved(pq.PGconn.connect_start(probe.encode()))


def _resolved(attempt: pq.abc.PGconn) -> dict[str, str]:
    try:
        said = attempt.get_error_message()
        if attempt.status != pq.ConnStatus.BAD or _PROBE not in said:
            raise UsageError(f"libpq refuses the connection string: {plain(said)}")
        options = {option.keyword.decode(): option.val.decode() for option in attempt.info if option.val is not None}
    finally:
        attempt.finish()
    return {keyword: value for keyword, value in options.items() if keyword not in ("password", "load_balance_hosts")}
