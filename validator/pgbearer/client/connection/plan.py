"""What a connection may do and what it is made with, worked out before there is a token, once for equal questions.

Working it out takes libpq itself and a few parses of URLs, a third of a millisecond for an answer that never changes
while a program makes connection after connection. So the answer is kept, under a digest of all that it came from;
the digest is keyed, because what it came from may hold a secret (``sslpassword``).
"""

import hashlib
import os
import secrets
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from psycopg import pq

from pgbearer.client.connection.conninfo import ConnectionParameter, resolve
from pgbearer.client.connection.pinned import pin, safe_parameters
from pgbearer.client.login.request import DEVICE_CLIENT

__all__ = ["Plan", "Plans"]

_DEFAULT_CLIENT_ID: Final = DEVICE_CLIENT  # libpq demands one; only its own device flow would send it
_MOST: Final = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """A connection that may be made, once there is a token."""

    issuer: str
    """The one issuer whose servers may have the token."""
    added: Mapping[str, str]
    """Connection keywords to add, so that libpq keeps the rules too."""
    server: Hashable | None
    """What the connection leads to, to know a server again; None where there are several to choose from."""
    role: str | None
    """The database role that it asks for."""


class Plans:
    """Works out plans, and keeps the last few hundred. Safe in threads and tasks."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._kept: dict[bytes, Plan] = {}  # each operation on it is one atomic step

    def plan(
        self,
        conninfo: str,
        keywords: Mapping[str, ConnectionParameter],
        *,
        issuers: tuple[str | None, ...],
        client_id: str | None,
        scope: str | None,
    ) -> Plan:
        """Apply every rule that needs no token.

        Args:
            conninfo: connection string or URL.
            keywords: connection keywords that override it; None counts as absent, as it does for psycopg.
            issuers: whoever names an issuer; those that do must agree.
            client_id: libpq's ``oauth_client_id``.
            scope: libpq's ``oauth_scope``.

        Raises:
            UsageError: the connection string is not usable, or no issuer is named.
            UnsafeServerError: the issuers differ, or the string insists on a channel that is not safe.
            LibpqTooOldError: there is no libpq 18.
        """
        given = sorted((name, str(value)) for name, value in keywords.items() if value is not None)
        asked = self._digest((conninfo, given, issuers, client_id, scope, _surroundings()))
        plan = self._kept.get(asked)
        if plan is None:
            options = resolve(conninfo, keywords)
            plan = self._work_out(options, issuers, client_id, scope)
            if not _from_service_file(options):
                if len(self._kept) >= _MOST:
                    self._kept.clear()
                self._kept[asked] = plan
        return plan

    def _work_out(
        self, options: Mapping[str, str], issuers: tuple[str | None, ...], client_id: str | None, scope: str | None
    ) -> Plan:
        issuer = pin((*issuers, options.get("oauth_issuer")))
        added = safe_parameters(options) | {
            "oauth_issuer": issuer,
            "oauth_client_id": client_id or options.get("oauth_client_id", _DEFAULT_CLIENT_ID),
        }
        if scope is not None:
            added["oauth_scope"] = scope
        final = {**options, **added}
        several = any("," in final.get(name, "") for name in ("host", "hostaddr", "port"))
        server = None if several else self._digest(sorted(final.items()))
        return Plan(issuer, added, server, final.get("user"))

    def _digest(self, value: object) -> bytes:
        """Of lists, tuples and strings, whose repr tells any two apart."""
        return hashlib.blake2b(repr(value).encode(errors="surrogatepass"), key=self._key, digest_size=32).digest()


def _surroundings() -> tuple[object, ...]:
    """What libpq adds beside what it is given: its environment variables, and who runs the process."""
    return (os.geteuid(), [(name, os.environ[name]) for name in _variables() if name in os.environ])


@cache
def _variables() -> tuple[str, ...]:
    """The environment variables that libpq reads for connection options, by its own table."""
    return tuple(option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar is not None)


def _from_service_file(options: Mapping[str, str]) -> bool:
    """A service file may be edited at any time, so what came from one is asked for each time."""
    return "service" in options or "PGSERVICE" in os.environ
