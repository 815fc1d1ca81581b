"""The device authorization grant (RFC 8628) as a sans-I/O core: what to ask, when, and what each answer means."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pgbearer.client.login.metadata import Metadata, MetadataError, discover, json_object
from pgbearer.client.login.refusal import LoginRefusedError
from pgbearer.client.login.steps import DeviceCode, Post, Show, Steps, Wait, ask
from pgbearer.client.plain import plain
from pgbearer.client.token import AccessToken, TokenFormatError
from pgbearer.errors import PgbearerError, UsageError
from pgbearer.http import Fault, FetchError, Reply

__all__ = ["DeviceLogin", "Pace", "device_login"]

_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_DEFAULT_INTERVAL: Final = 5.0  # seconds, RFC 8628 section 3.2
_SLOW_DOWN: Final = 5.0  # seconds, RFC 8628 section 3.5
_LONGEST_BACKOFF: Final = 60.0  # seconds; codes live for minutes, so a longer pause would miss the approval
_TRANSIENT: Final = frozenset({Fault.CONNECT, Fault.TIMEOUT, Fault.PROTOCOL})


@dataclass(frozen=True, slots=True)
class DeviceLogin:
    """What is asked for: a token of `issuer` for the public client `client_id` with `scope` (space-separated)."""

    issuer: str
    client_id: str
    scope: str | None = None

    def fields(self) -> dict[str, str]:
        """The form of the device authorization request (RFC 8628 section 3.1)."""
        return {"client_id": self.client_id} | ({"scope": self.scope} if self.scope else {})


class Pace:
    """Seconds to wait before the next poll (RFC 8628 section 3.5).

    ``slow_down`` adds 5 s for this and all later polls; each poll that got no answer doubles the wait, until one does.
    """

    def __init__(self, interval: float = _DEFAULT_INTERVAL) -> None:
        self._interval = max(interval, 1.0)
        self._unanswered = 0

    @property
    def seconds(self) -> float:
        """The wait that is due now."""
        return max(self._interval, min(self._interval * 2.0 ** min(self._unanswered, 6), _LONGEST_BACKOFF))

    def slow_down(self) -> None:
        """The server asked for it."""
        self._interval += _SLOW_DOWN

    def answered(self) -> None:
        """A poll got an answer, whatever it said."""
        self._unanswered = 0

    def unanswered(self) -> None:
        """A poll got none: timed out, not connected, cut, or an overloaded server's 429 or 5xx."""
        self._unanswered += 1


def device_login(
    login: DeviceLogin, *, monotonic: Callable[[], float], wall: Callable[[], float]
) -> Steps[AccessToken]:
    """Log in, as steps: discover the issuer, show the code, poll until there is a token or a reason why not.

    Args:
        login: what is asked for.
        monotonic: seconds on a clock that never jumps; times the code's life.
        wall: seconds since the epoch; the token's end is reckoned from it.

    Returns:
        The token. Its end is counted from before the request that fetched it, so never too late.

    Raises:
        LoginRefusedError: denied, expired, wrong client, wrong scope; `error` says which.
        MetadataError: an answer that is none.
        FetchError: no answer to the first requests, or a fault that asking again cannot mend (TLS, redirect).
        UsageError: the issuer is not one, or offers no device authorization grant.
    """
    metadata = yield from discover(login.issuer)
    authorization = yield from _authorize(login, metadata, monotonic)
    yield Show(authorization.code)
    return (yield from _poll(login, metadata, authorization, monotonic, wall))


@dataclass(slots=True)
class _Authorization:
    code: DeviceCode
    pace: Pace
    ends: float  # on the monotonic clock
    device_code: str = field(repr=False)


def _authorize(login: DeviceLogin, metadata: Metadata, monotonic: Callable[[], float]) -> Steps[_Authorization]:
    """Ask for a device code (RFC 8628 sections 3.1 and 3.2)."""
    endpoint = metadata.device_authorization_endpoint
    if endpoint is None:
        raise UsageError(
            "this issuer offers no device authorization grant",
            where=login.issuer,
            hint="Its metadata has no device_authorization_endpoint; switch the grant on at the authorization server.",
        )
    asked = monotonic()
    reply = yield from ask(Post(endpoint, login.fields()))
    answer = json_object(reply, endpoint)
    if reply.status != 200:
        raise _refusal(reply, answer, endpoint)
    expires_in = _number(answer, "expires_in", endpoint)
    code = DeviceCode(_https(answer, "verification_uri", endpoint), _text(answer, "user_code", endpoint), expires_in)
    interval = _number(answer, "interval", endpoint, default=_DEFAULT_INTERVAL)
    return _Authorization(code, Pace(interval), asked + expires_in, _text(answer, "device_code", endpoint))


def _poll(
    login: DeviceLogin,
    metadata: Metadata,
    authorization: _Authorization,
    monotonic: Callable[[], float],
    wall: Callable[[], float],
) -> Steps[AccessToken]:
    """Ask for the token until there is one (RFC 8628 sections 3.4 and 3.5)."""
    endpoint, pace = metadata.token_endpoint, authorization.pace
    poll = Post(
        endpoint, {"grant_type": _GRANT, "device_code": authorization.device_code, "client_id": login.client_id}
    )
    while monotonic() + pace.seconds < authorization.ends:
        yield Wait(pace.seconds)
        asked = wall()
        reply = yield from _try(poll)
        if reply is None:
            pace.unanswered()
            continue
        pace.answered()
        answer = json_object(reply, endpoint)
        if reply.status == 200:
            return _token(answer, endpoint, asked)
        match answer.get("error"):
            case "authorization_pending":
                pass
            case "slow_down":
                pace.slow_down()
            case _:
                raise _refusal(reply, answer, endpoint)
    raise LoginRefusedError("expired_token", where=login.issuer)


def _try(step: Post) -> Steps[Reply | None]:
    """Poll once; None if nothing came that is worth reading, so that asking later may help."""
    try:
        reply = yield from ask(step)
    except FetchError as error:
        if error.kind not in _TRANSIENT:
            raise
        return None
    return None if reply.status == 429 or reply.status >= 500 else reply


def _token(answer: Mapping[str, Any], endpoint: str, asked: float) -> AccessToken:
    kind = _text(answer, "token_type", endpoint)
    if kind.lower() != "bearer":
        raise MetadataError(f"gave a token of type {plain(kind)!r}, not Bearer", where=endpoint)
    lifetime = _number(answer, "expires_in", endpoint) if "expires_in" in answer else None
    scope = answer.get("scope")
    try:
        return AccessToken(
            _text(answer, "access_token", endpoint),
            expires_at=None if lifetime is None else asked + lifetime,
            scope=scope if isinstance(scope, str) else None,
        )
    except TokenFormatError as error:
        raise MetadataError(error.what, where=endpoint) from error


def _refusal(reply: Reply, answer: Mapping[str, Any], endpoint: str) -> PgbearerError:
    error, description = answer.get("error"), answer.get("error_description")
    if not isinstance(error, str) or not error:
        return MetadataError(f"answered {reply.status} without an OAuth error code", where=endpoint)
    return LoginRefusedError(error, where=endpoint, description=description if isinstance(description, str) else None)


def _text(answer: Mapping[str, Any], name: str, where: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise MetadataError(f"answered without {name}, or with one that is not text", where=where)
    return value


def _https(answer: Mapping[str, Any], name: str, where: str) -> str:
    value = _text(answer, name, where)
    if not value.startswith("https://") or plain(value, limit=len(value)) != value:
        raise MetadataError(f"{name} is not an https URL: {plain(value)!r}", where=where)
    return value


def _number(answer: Mapping[str, Any], name: str, where: str, *, default: float | None = None) -> float:
    value = answer.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise MetadataError(f"answered without {name}, or with one that is not a number of seconds", where=where)
    return float(value)
