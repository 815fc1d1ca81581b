"""What servers on other hosts must agree on with the listener and each other; see `pgbearer.config.checks`."""

import re
from collections.abc import Iterator
from typing import Final

from pgbearer.config.problems import Problem
from pgbearer.config.settings import Settings

__all__ = ["LISTENING_CHECKS"]

_SPIFFE_ID: Final = re.compile(r"spiffe://[a-z0-9._-]{1,255}(/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)+", re.ASCII)
"""Of a workload: SPIFFE-ID.md section 2."""
_DNS_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
"""In lower case, without a dot at the end or a wildcard (RFC 5280 section 4.2.1.6)."""
_OF_THE_SOCKET: Final = ("socket", "uid", "group")


def servers_are_known_by_one_thing(settings: Settings) -> Iterator[Problem]:
    """A server is known by the uid behind a Unix socket or by its certificate: two ways in would be two to guard."""
    for name, server in settings.servers.items():
        for key in _OF_THE_SOCKET:
            if server.certificate is not None and key in server.model_fields_set:
                yield Problem(
                    path=("servers", name, key),
                    message="means nothing for a server that is known by its certificate",
                    hint="give the server that asks over the socket a name of its own",
                )


def certificate_names_are_exact(settings: Settings) -> Iterator[Problem]:
    """Names are compared as they are written, so what cannot be in a certificate would be a server for ever unknown."""
    known: dict[str, str] = {}
    for name, server in settings.servers.items():
        path = ("servers", name, "certificate")
        if server.certificate is None:
            continue
        if not (_SPIFFE_ID.fullmatch(server.certificate) or _DNS_NAME.fullmatch(server.certificate)):
            message = "must be a SPIFFE ID or a DNS name"
            yield Problem(path=path, message=message, hint="in lower case (of a SPIFFE ID the domain), no wildcard")
        if known.setdefault(server.certificate, name) != name:
            yield Problem(path=path, message=f'the certificate of "{known[server.certificate]}"')


def certificates_are_asked_for(settings: Settings) -> Iterator[Problem]:
    """Servers with certificates need a listener; one that no server may use is told of, revoking may leave it so."""
    named = [name for name, server in settings.servers.items() if server.certificate is not None]
    if settings.listen.tls is None:
        for name in named:
            message = "nothing listens for servers with certificates"
            yield Problem(path=("servers", name, "certificate"), message=message, hint="write listen.tls")
    elif not named:
        message = "no server has a certificate, so nobody may ask here"
        yield Problem(
            path=("listen", "tls"), message=message, hint="write servers.NAME.certificate", severity="warning"
        )


LISTENING_CHECKS: Final = (servers_are_known_by_one_thing, certificate_names_are_exact, certificates_are_asked_for)
