"""The device authorization grant (RFC 8628) as a sans-I/O core: what to ask, when, and what each answer means."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pgbearer.client.grant import Grant
from pgbearer.client.login.answer import json_object, refusal_in, seconds_in, text_in
from pgbearer.client.login.metadata import Metadata, discover
from pgbearer.client.login.refusal import DEVICE, LoginRefusedError
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import DeviceCode, Post, Show, Steps, Wait, ask
from pgbearer.client.login.token_answer import grant_in
from pgbearer.errors import UsageError
from pgbearer.http import Fault, FetchError, Reply

__all__ = ["Pace", "device_login"]

_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_DEFAULT_INTERVAL: Final = 5.0  # seconds, RFC 8628 section 3.2
_SLOW_DOWN: Final = 5.0  # seconds, RFC 8628 section 3.5
_LONGEST_LIFE: Final = 1_800.0  # seconds that a person is waited for, whatever the server says of its code
_LONGEST_BACKOFF: Final = 60.0  # seconds; codes live for minutes, so a longer pause would miss the approval
_TRANSIENT: Final = frozenset({Fault.CONNECT, Fault.TIMEOUT, Fault.PROTOCOL})


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


def device_login(request: LoginRequest, *, monotonic: Callable[[], float], wall: Callable[[], float]) -> Steps[Grant]:
    """Log in, as steps: discover the issuer, show the code, poll until there is a token or a reason why not.

    Args:
        request: what is asked for.
        monotonic: seconds on a clock that never jumps; times the code's life.
        wall: seconds since the epoch; the token's end is reckoned from it.

    Returns:
        The grant. Its ends are counted from before the request that fetched it, so never too late.

    Raises:
        LoginRefusedError: denied, expired, wrong client, wrong scope; `error` says which.
        MetadataError: an answer that is none.
        FetchError: no answer to the first requests, or a fault that asking again cannot mend (TLS, redirect).
        UsageError: the issuer is not one, or offers no device authorization grant.
    """
    metadata = yield from discover(request.issuer)
    authorization = yield from _authorize(request, metadata, monotonic)
    yield Show(authorization.code)
    return (yield from _poll(request, metadata, authorization, monotonic, wall))


@dataclass(slots=True)
class _Authorization:
    code: DeviceCode
    pace: Pace
    ends: float  # on the monotonic clock
    device_code: str = field(repr=False)


def _authorize(request: LoginRequest, metadata: Metadata, monotonic: Callable[[], float]) -> Steps[_Authorization]:
    """Ask for a device code (RFC 8628 sections 3.1 and 3.2)."""
    endpoint = metadata.device_authorization_endpoint
    if endpoint is None:
        raise UsageError(
            "this issuer offers no device authorization grant",
            where=request.issuer,
            hint="Its metadata has no device_authorization_endpoint; switch the grant on at the authorization server.",
        )
    asked = monotonic()
    reply = yield from ask(Post(endpoint, request.fields()))
    if reply.status != 200:
        raise refusal_in(reply, endpoint, DEVICE)
    answer = json_object(reply, endpoint)
    expires_in = min(seconds_in(answer, "expires_in", endpoint), _LONGEST_LIFE)
    code = DeviceCode(text_in(answer, "verification_uri", endpoint), text_in(answer, "user_code", endpoint), expires_in)
    interval = seconds_in(answer, "interval", endpoint, default=_DEFAULT_INTERVAL)
    return _Authorization(code, Pace(interval), asked + expires_in, text_in(answer, "device_code", endpoint))


def _poll(
    request: LoginRequest,
    metadata: Metadata,
    authorization: _Authorization,
    monotonic: Callable[[], float],
    wall: Callable[[], float],
) -> Steps[Grant]:
    """Ask for the token until there is one (RFC 8628 sections 3.4 and 3.5)."""
    endpoint, pace = metadata.token_endpoint, authorization.pace
    poll = Post(
        endpoint, {"grant_type": _GRANT, "device_code": authorization.device_code, "client_id": request.client_id}
    )
    while monotonic() + pace.seconds < authorization.ends:
        yield Wait(pace.seconds)
        asked = wall()
        reply = yield from _try(poll)
        if reply is None:
            pace.unanswered()
            continue
        pace.answered()
        if reply.status == 200:
            return grant_in(reply, endpoint, asked, request.client_id, DEVICE)
        match json_object(reply, endpoint).get("error"):
            case "authorization_pending":
                pass
            case "slow_down":
                pace.slow_down()
            case _:
                raise refusal_in(reply, endpoint, DEVICE)
    raise LoginRefusedError("expired_token", where=request.issuer, words=DEVICE)


def _try(step: Post) -> Steps[Reply | None]:
    """Poll once; None if nothing came that is worth reading, so that asking later may help."""
    try:
        reply = yield from ask(step)
    except FetchError as error:
        if error.kind not in _TRANSIENT:
            raise
        return None
    return None if reply.status == 429 or reply.status >= 500 else reply
