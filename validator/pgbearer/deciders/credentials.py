"""Who we are to a decider: the header that says so, from files of ours or from an authorization server.

A certificate of ours is not here: TLS presents it (`pgbearer.http.Pool`).
"""

import asyncio
import base64
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote_plus, urlencode

from pgbearer.config.decider_kinds import AuthZenDecider, Basic, ClientCredentials, OpaDecider
from pgbearer.deciders.fault import DeciderFault, DeciderMisconfigured
from pgbearer.deciders.line import Line
from pgbearer.deciders.replies import refused, strict_object
from pgbearer.errors import UsageError
from pgbearer.http import Reply

__all__ = ["BearerFile", "Credentials", "Fixed", "Fresh", "credentials_of"]

_RENEW_AT: Final = 0.8
"""The part of a token's life after which another is asked for."""
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
"""What a bearer token or a password in a header may be made of."""
MAX_SECRET: Final = 65536
"""Bytes of a file with a secret."""


class Credentials(Protocol):
    """What goes before every question to one decider. For one event loop."""

    async def headers(self) -> Mapping[str, str]:
        """The headers that say who we are; none if nothing must be said.

        Raises:
            DeciderFault, DeciderMisconfigured: there are none to be had now, or for us.
        """
        ...

    def refused(self) -> None:
        """They were refused: what was kept of them is of no use any more."""
        ...


def credentials_of(settings: AuthZenDecider | OpaDecider, line: Line) -> Credentials:
    """What the settings of a decider name; `line` reaches the authorization server too.

    Raises:
        UsageError: a file cannot be read, or holds no secret that a header can carry.
    """
    if settings.bearer_file is not None:
        return BearerFile(settings.bearer_file)
    if settings.basic is not None:
        return Fixed(_basic(settings.basic))
    if settings.client_credentials is not None:
        return Fresh(settings.client_credentials, line)
    return Fixed({})


class Fixed:
    """The same headers every time."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    async def headers(self) -> Mapping[str, str]:
        """As given."""
        return self._headers

    def refused(self) -> None:
        """Nothing to be done: a reload reads the files again."""


class BearerFile:
    """A token that somebody else writes into a file and renews there, as Kubernetes does with its own."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp: tuple[int, int] | None = None
        self._headers: Mapping[str, str] = {}
        self._read()

    async def headers(self) -> Mapping[str, str]:
        """With the token that is in the file now.

        Raises:
            DeciderMisconfigured: it holds none any more.
        """
        try:
            self._read()
        except UsageError as error:
            raise DeciderMisconfigured(error.what, where=error.where) from None
        return self._headers

    def refused(self) -> None:
        """Read the file again, whatever its time says."""
        self._stamp = None

    def _read(self) -> None:
        try:
            found = self._file.stat()
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", where=str(self._file)) from None
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            self._headers = {"authorization": f"Bearer {_secret(self._file)}"}
            self._stamp = stamp


class Fresh:
    """A token for a client of ours (RFC 6749 section 4.4), one for all questions, kept while it is young."""

    def __init__(self, settings: ClientCredentials, line: Line) -> None:
        self._line = line
        self._url = settings.token_endpoint
        # RFC 6749 section 2.3.1: both are form-encoded before they become a user name and a password
        pair = f"{quote_plus(settings.client)}:{quote_plus(_secret(settings.secret_file))}"
        self._authorization = {"authorization": _basic_header(pair)}
        form = {"grant_type": "client_credentials"} | ({"scope": settings.scope} if settings.scope else {})
        self._form = urlencode(form).encode()
        self._headers: Mapping[str, str] | None = None
        self._renew_at = 0.0
        self._asking = asyncio.Lock()

    async def headers(self) -> Mapping[str, str]:
        """With a token that is young enough.

        Raises:
            DeciderFault: the authorization server gave no usable answer.
            DeciderMisconfigured: it does not know us, or gives us no token.
        """
        async with self._asking:  # one asks for all
            if self._headers is None or time.monotonic() >= self._renew_at:
                self._headers = await self._ask()
            return self._headers

    def refused(self) -> None:
        """Ask for another before the next question."""
        self._headers = None

    async def _ask(self) -> Mapping[str, str]:
        asked_at = time.monotonic()
        kind = "application/x-www-form-urlencoded"
        reply = await self._line.post(self._url, self._form, content_type=kind, headers=self._authorization)
        token, lifetime = _token_in(reply, self._url)
        self._renew_at = asked_at + lifetime * _RENEW_AT
        return {"authorization": f"Bearer {token}"}


def _token_in(reply: Reply, url: str) -> tuple[str, int]:
    """The token of a successful answer (RFC 6749 section 5.1) and its lifetime in seconds: 0 if none is named."""
    if reply.status != 200:
        raise refused(reply, by="the authorization server", where=url)
    answer = strict_object(reply)
    token, lifetime = answer.get("access_token"), answer.get("expires_in", 0)
    if not isinstance(token, str) or not _PRINTABLE.fullmatch(token):
        raise DeciderFault("the authorization server answered without a token")
    if isinstance(lifetime, bool) or not isinstance(lifetime, int) or lifetime < 0:
        raise DeciderFault("the authorization server answered with a lifetime that is none")
    return token, lifetime


def _basic(settings: Basic) -> Mapping[str, str]:
    if ":" in settings.user:
        raise UsageError("a user name of Basic authentication has no colon (RFC 7617)", where=settings.user)
    return {"authorization": _basic_header(f"{settings.user}:{_secret(settings.password_file)}")}


def _basic_header(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


def _secret(file: Path) -> str:
    """What a file with a secret holds, without the line's end.

    Raises:
        UsageError: it cannot be read, or holds nothing that a header can carry.
    """
    try:
        with file.open("rb") as opened:
            found = opened.read(MAX_SECRET + 1)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(file)) from None
    secret = found.decode("utf-8", errors="replace").rstrip("\r\n")
    if not _PRINTABLE.fullmatch(secret) or len(found) > MAX_SECRET:
        raise UsageError("holds no secret: one line of printable ASCII without spaces", where=str(file))
    return secret
