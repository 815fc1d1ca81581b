"""The issuer, asked whether a token that verified is still good: RFC 7662, as an extra check that can only refuse.

A signature says what was true when the token was made. Whether its session was ended since only the issuer knows; so
where `issuers.*.introspection` says so, a login waits for it, after every check that needs no network.
"""

import asyncio
import base64
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote_plus, urlencode

from pgbearer.config.introspection import Introspection
from pgbearer.config.permissions import read_trusted
from pgbearer.config.settings import Issuer
from pgbearer.errors import UnreachableError
from pgbearer.http import Pool, Reply
from pgbearer.tokens.denied import Denied
from pgbearer.tokens.introspection_answer import read_introspection
from pgbearer.tokens.steady import steady_seconds
from pgbearer.verified import Verified
from pgbearer.wire import Reason

__all__ = ["Introspector"]

_MOST_BYTES: Final = 128 * 1024
"""An answer repeats the token's claims, and a token has at most 64 KiB."""
_CONNECTIONS: Final = 16
_REMEMBERED: Final = 10_000
_MOST_SECRET: Final = 4096
_SECRET: Final = re.compile(r"[\x20-\x7e]{1,1024}")
"""RFC 6749 appendix A.2: printable ASCII."""


class Poster(Protocol):
    """What is needed of `pgbearer.http.Pool`."""

    async def post(self, url: str, body: bytes, *, content_type: str, headers: Mapping[str, str]) -> Reply:
        """As `Pool.post`."""
        ...

    async def aclose(self) -> None:
        """As `Pool.aclose`."""
        ...


class Introspector:
    """One issuer's introspection endpoint. For one event loop; a `pgbearer.tokens.witness.Witness`.

    Args:
        issuer: settings that have `introspection`.
        settings: these.
        pool: connections to the endpoint; None makes them.
        steady: a clock that nobody can set, in seconds.

    Raises:
        UsageError: ``ca_file`` is not usable.
    """

    def __init__(
        self,
        issuer: Issuer,
        settings: Introspection,
        *,
        pool: Poster | None = None,
        steady: Callable[[], float] = steady_seconds,
    ) -> None:
        self._settings = settings
        self._pool = pool or Pool(
            ca_file=issuer.ca_file, timeout=settings.timeout, max_bytes=_MOST_BYTES, connections=_CONNECTIONS
        )
        self._steady = steady
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._under_way = 0
        self._idle = asyncio.Event()
        self._closed = False

    @property
    def critical_only(self) -> bool:
        """Whether only logins of the critical tier are asked about."""
        return self._settings.when == "critical"

    async def confirm(self, token: str, verified: Verified) -> None:
        """The issuer still takes `token` for good, and for what it was verified as.

        Raises:
            Denied: token_inactive, issuer_unavailable, introspection_refused or introspection_invalid.
        """
        digest = hashlib.sha256(token.encode("ascii")).digest()
        if self._is_known(digest):
            return
        if self._closed:
            raise Denied(Reason.ISSUER_UNAVAILABLE, "introspection: the settings were reloaded meanwhile")
        self._under_way += 1
        try:
            read_introspection(await self._ask(token), verified)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()
        self._remember(digest)

    async def aclose(self) -> None:
        """Let the questions under way be answered, for as long as they may take, and close the connections."""
        self._closed = True
        if self._under_way:
            self._idle.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), self._settings.timeout)
        self._known.clear()
        await self._pool.aclose()

    async def _ask(self, token: str) -> Reply:
        """The answer, within ``timeout``: reading the secret counts too, for its file may be on a disk that hangs."""
        settings = self._settings
        try:
            async with asyncio.timeout(settings.timeout):
                secret = await asyncio.to_thread(_secret_in, settings.client_secret_file)
                body, headers = _question(token, settings, secret)
                kind = "application/x-www-form-urlencoded"
                return await self._pool.post(settings.endpoint, body, content_type=kind, headers=headers)
        except UnreachableError as error:
            raise Denied(Reason.ISSUER_UNAVAILABLE, f"introspection: {error.what}") from None
        except TimeoutError:
            raise Denied(Reason.ISSUER_UNAVAILABLE, "introspection: no complete answer in time") from None

    def _is_known(self, digest: bytes) -> bool:
        until = self._known.get(digest)
        if until is not None and self._steady() < until:
            return True
        self._known.pop(digest, None)
        return False

    def _remember(self, digest: bytes) -> None:
        if self._settings.cache:
            self._known[digest] = self._steady() + self._settings.cache
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


def _question(token: str, settings: Introspection, secret: str) -> tuple[bytes, Mapping[str, str]]:
    """The form and the headers (RFC 7662 section 2.1; RFC 6749 section 2.3.1: both encoded as in a form)."""
    fields = {"token": token, "token_type_hint": "access_token"}
    if settings.client_auth == "post":
        fields |= {"client_id": settings.client_id, "client_secret": secret}
        return urlencode(fields).encode(), {}
    pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"
    return urlencode(fields).encode(), {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _secret_in(file: Path) -> str:
    """What the file holds now, if nobody but root and we could have put it there."""
    try:
        data, reasons = read_trusted(file, _MOST_SECRET)
        text = data.decode("ascii").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise UnreachableError("our own secret cannot be read", where=str(file)) from None
    if reasons:
        raise UnreachableError(f"our own secret is not trusted: {reasons[0]}", where=str(file))
    if not _SECRET.fullmatch(text):
        raise UnreachableError("our own secret is none", where=str(file))
    return text
