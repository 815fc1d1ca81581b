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
from pgbearer.config.settings import Issuer
from pgbearer.errors import UnreachableError
from pgbearer.http import Pool, Reply
from pgbearer.tokens.denied import Denied
from pgbearer.tokens.steady import steady_seconds
from pgbearer.tokens.strict_json import NotStrictJsonError, parse_object
from pgbearer.verified import Verified
from pgbearer.wire import Reason

__all__ = ["Introspector", "read_introspection"]

_MOST_BYTES: Final = 128 * 1024
"""An answer repeats the token's claims, and a token has at most 64 KiB."""
_CONNECTIONS: Final = 16
_REMEMBERED: Final = 10_000
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
        settings = self._settings
        try:
            secret = await asyncio.to_thread(_secret_in, settings.client_secret_file)
            fields = {"token": token, "token_type_hint": "access_token"}
            headers = {}
            if settings.client_auth == "post":
                fields |= {"client_id": settings.client_id, "client_secret": secret}
            else:  # RFC 6749 section 2.3.1: each encoded as in a form
                pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"
                headers = {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
            body = urlencode(fields).encode()
            kind = "application/x-www-form-urlencoded"
            return await self._pool.post(settings.endpoint, body, content_type=kind, headers=headers)
        except UnreachableError as error:
            raise Denied(Reason.ISSUER_UNAVAILABLE, f"introspection: {error.what}") from None

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


def read_introspection(reply: Reply, verified: Verified) -> None:
    """Nothing, if the issuer says that the token is active, and speaks of the very token that was verified.

    RFC 7662 section 2.2. Every member but ``active`` is optional there; here ``sub`` and ``exp`` must be given, and
    whatever is given must be what the token says: an answer about another token says nothing about this one.

    Raises:
        Denied: token_inactive, issuer_unavailable, introspection_refused or introspection_invalid.
    """
    answer = _object_in(reply)
    active = answer.get("active")
    if active is False:
        raise Denied(Reason.TOKEN_INACTIVE, "introspection: the issuer does not take it any more")
    if active is not True:
        raise _invalid(f"active is {active!r}, neither true nor false")
    for name in ("sub", "exp"):
        if name not in answer:
            raise _invalid(f"no {name!r}: of which token it speaks cannot be told")
    for name, meant in _expected(verified).items():
        if name in answer and not _is(answer[name], meant):
            raise _invalid(f"{name!r} is another than the token's")
    audience = answer.get("aud", list(verified.audience))
    if (sorted({audience}) if isinstance(audience, str) else _sorted(audience)) != sorted(verified.audience):
        raise _invalid("'aud' is another than the token's")
    kind = answer.get("token_type", "Bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise _invalid("not a bearer token")


def _expected(verified: Verified) -> dict[str, object]:
    """What members must be if they are there."""
    expected: dict[str, object] = {
        "iss": verified.issuer_url,
        "sub": verified.subject,
        "exp": verified.expires_at,
        "iat": verified.issued_at,
    }
    optional = {"jti": verified.token_id, "client_id": verified.client, "azp": verified.client}
    return expected | {name: value for name, value in optional.items() if value is not None}


def _is(value: object, meant: object) -> bool:
    """Equal and of one type: to Python 1 is True and 1.0."""
    return type(value) is type(meant) and value == meant


def _sorted(audience: object) -> list[str] | None:
    if isinstance(audience, list) and all(isinstance(one, str) for one in audience):
        return sorted(set(audience))
    return None


def _object_in(reply: Reply) -> Mapping[str, object]:
    """The JSON object that was answered; of 4xx only "too many" passes by itself, the rest is ours to mend."""
    if reply.status == 429 or reply.status >= 500:
        raise Denied(Reason.ISSUER_UNAVAILABLE, f"introspection was answered {reply.status}")
    if reply.status >= 400:
        raise Denied(Reason.INTROSPECTION_REFUSED, f"introspection was answered {reply.status}")
    if reply.status != 200 or not reply.is_json:
        raise _invalid(f"answered {reply.status}, {reply.content_type or 'without a type'}"[:100])
    try:
        return parse_object(reply.body)
    except NotStrictJsonError as error:
        raise _invalid(f"an answer that is {error}") from None


def _invalid(why: str) -> Denied:
    return Denied(Reason.INTROSPECTION_INVALID, f"introspection: {why}")


def _secret_in(file: Path) -> str:
    try:
        text = file.read_text("ascii").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise UnreachableError("our own secret cannot be read", where=str(file)) from None
    if not _SECRET.fullmatch(text):
        raise UnreachableError("our own secret is none", where=str(file))
    return text
