"""Where a token may go: only to the pinned issuer's servers, and only on a Unix socket or under verified TLS.

Everything here is a rule on values. `connect` asks before it connects, to say clearly what is wrong; `hook` asks again
about the very connection that is to get the token, and that answer is the one that counts.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from pgbearer.client.connection.conninfo import NO_PASSFILE, uses_only_unix_sockets
from pgbearer.client.login.metadata import check_issuer, issuer_of
from pgbearer.client.plain import plain
from pgbearer.errors import UsageError

__all__ = ["UnsafeServerError", "check_channel", "check_server_issuer", "pin", "safe_parameters"]

_LIBPQ_DEFAULT_SSLMODE: Final = "prefer"
_TLS_HINT: Final = (
    "Use sslmode=verify-full, with sslrootcert= if the server's CA is not in ~/.postgresql/root.crt, or a Unix socket."
)


class UnsafeServerError(UsageError):
    """The token did not leave, because it might have reached someone else than the pinned issuer's servers."""


def pin(candidates: Iterable[str | None]) -> str:
    """The one issuer that all who name one agree on: byte for byte, as RFC 9207 section 2.4 wants it.

    Args:
        candidates: issuers, or their metadata's URLs, as the caller, the token and the connection string name them.

    Raises:
        UnsafeServerError: two of them differ.
        UsageError: nobody names one, or it is not an issuer.
    """
    named = {issuer_of(candidate) or candidate for candidate in candidates if candidate}
    if not named:
        raise UsageError(
            "no issuer is given, so there is nobody whose servers the token may go to",
            hint="Give issuer=, or oauth_issuer in the connection string.",
        )
    if len(named) > 1:
        raise UnsafeServerError(
            f"the token is not sent, because the issuers differ: {' and '.join(sorted(map(plain, named)))}",
            hint="The caller, the token and the connection string must name the same issuer, byte for byte.",
        )
    return check_issuer(named.pop())


def safe_parameters(options: Mapping[str, str]) -> dict[str, str]:
    """What to add to a connection string so that libpq itself keeps the rules.

    Args:
        options: the connection's options as libpq resolves them (`conninfo.resolve`).

    Raises:
        UnsafeServerError: they insist on something weaker. libpq's default, ``prefer``, does not insist.
    """
    methods = options.get("require_auth", "")
    if methods and "oauth" not in methods.split(","):
        raise UnsafeServerError(
            f"require_auth={plain(methods)} leaves no place for a token", hint="Leave require_auth out."
        )
    parameters = {"require_auth": "oauth", "gssencmode": "disable", "password": "", "passfile": NO_PASSFILE}
    if uses_only_unix_sockets(options):
        return parameters
    sslmode = options.get("sslmode", _LIBPQ_DEFAULT_SSLMODE)
    if sslmode not in (_LIBPQ_DEFAULT_SSLMODE, "verify-full"):
        raise UnsafeServerError(
            f"the token is not sent, because sslmode={plain(sslmode)} does not verify the server's name", hint=_TLS_HINT
        )
    return {**parameters, "sslmode": "verify-full"}


def check_channel(options: Mapping[str, str], *, unix_socket: bool, encrypted: bool) -> None:
    """The connection that asks for the token is one that may have it.

    Args:
        options: of that connection, as libpq reports them.
        unix_socket: what the kernel says of its socket.
        encrypted: what libpq says of it at this moment.

    Raises:
        UnsafeServerError: neither a Unix socket nor TLS with sslmode=verify-full, or other methods than OAuth are open.
    """
    if options.get("require_auth") != "oauth":
        raise UnsafeServerError("the token is not sent, because the connection would also take a password")
    if unix_socket or (encrypted and options.get("sslmode") == "verify-full"):
        return
    how = f"sslmode={options.get('sslmode')}" if encrypted else "plaintext"
    raise UnsafeServerError(f"the token is not sent over TCP with {plain(how)}", hint=_TLS_HINT)


def check_server_issuer(discovery_url: str, issuer: str) -> None:
    """The metadata URL that the server named belongs to the pinned `issuer`.

    Raises:
        UnsafeServerError: it is another issuer's, or no metadata URL at all.
    """
    said = issuer_of(discovery_url)
    if said != issuer:
        raise UnsafeServerError(
            f"the token is not sent: the server asks for one of {plain(said or discovery_url)}, not of {plain(issuer)}",
            hint="Is this the right server? If so, its pg_hba.conf names another issuer than you do.",
        )
