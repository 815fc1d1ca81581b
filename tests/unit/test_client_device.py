"""The device authorization grant as RFC 8628 says it: which wait, which answer, which end. No time passes here."""

import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from pgbearer.client import AccessToken, LoginRefusedError, MetadataError
from pgbearer.client.grant import Grant
from pgbearer.client.login.device import Pace, device_login
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import DeviceCode, Steps, run, run_async
from pgbearer.errors import PgbearerError, UsageError
from pgbearer.http import Fault, FetchError, Reply

ISSUER = "https://sso.test/realms/corp"
METADATA = {
    "issuer": ISSUER,
    "token_endpoint": f"{ISSUER}/token",
    "device_authorization_endpoint": f"{ISSUER}/device",
}
CODE: dict[str, Any] = {
    "device_code": "dc-secret",
    "user_code": "ABCD-EFGH",
    "verification_uri": f"{ISSUER}/go",
    "verification_uri_complete": f"{ISSUER}/go?user_code=ABCD-EFGH",
    "expires_in": 120,
    "interval": 5,
}
TOKEN = {"access_token": "a.token", "token_type": "Bearer", "expires_in": 300, "scope": "openid db"}
LOGIN = LoginRequest(ISSUER, "pgbearer-cli", "openid db")


def fault(kind: Fault) -> FetchError:
    return FetchError(kind, "as the test wants", url=f"{ISSUER}/token")


def error(code: object, status: int = 400, **more: Any) -> Reply:
    return Reply(status, {}, json.dumps({"error": code} | more).encode())


@dataclass
class World:
    """Issuer, person and clock in one: plays `polls` in order, then gives the token, and counts the seconds waited."""

    polls: list[Any] = field(default_factory=list)
    code: Any = field(default_factory=lambda: CODE)
    metadata: Any = field(default_factory=lambda: METADATA)
    token: Any = field(default_factory=lambda: TOKEN)
    waits: list[float] = field(default_factory=list)
    shown: list[DeviceCode] = field(default_factory=list)
    forms: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def get(self, url: str) -> Reply:
        return self._reply(self.metadata)

    def post_form(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        assert headers == {}
        self.forms.append((url, dict(fields)))
        if url.endswith("/device"):
            return self._reply(self.code)
        return self._reply(self.polls.pop(0) if self.polls else self.token)

    def _reply(self, answer: Any) -> Reply:
        if isinstance(answer, FetchError):
            raise answer
        return answer if isinstance(answer, Reply) else Reply(200, {}, json.dumps(answer).encode())

    def steps(self) -> Steps[Grant]:
        return device_login(LOGIN, monotonic=lambda: sum(self.waits), wall=lambda: 1_000_000 + sum(self.waits))

    def log_in(self) -> AccessToken:
        return run(self.steps(), self, self.shown.append, sleep=self.waits.append).access


class AsyncWorld:
    """The same for the asynchronous shell."""

    def __init__(self, world: "World") -> None:
        self.world = world

    async def get(self, url: str) -> Reply:
        return self.world.get(url)

    async def post_form(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        return self.world.post_form(url, fields, headers)

    async def sleep(self, seconds: float) -> None:
        self.world.waits.append(seconds)


def test_a_login() -> None:
    world = World()
    token = world.log_in()
    assert (token.reveal(), token.scope, token.expires_at) == ("a.token", "openid db", 1_000_005 + 300)
    assert world.shown == [DeviceCode(f"{ISSUER}/go", "ABCD-EFGH", 120.0)]
    assert world.forms == [
        (f"{ISSUER}/device", {"client_id": "pgbearer-cli", "scope": "openid db"}),
        (
            f"{ISSUER}/token",
            {
                "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
                "device_code": "dc-secret",
                "client_id": "pgbearer-cli",
            },
        ),
    ]


async def test_the_asynchronous_shell_does_the_same() -> None:
    def play() -> World:
        return World(polls=[error("authorization_pending"), fault(Fault.TIMEOUT), error("slow_down")])

    blocking, waiting = play(), play()
    expected = blocking.log_in()
    outside = AsyncWorld(waiting)
    grant = await run_async(waiting.steps(), outside, waiting.shown.append, sleep=outside.sleep)
    assert grant.access == expected
    assert (waiting.waits, waiting.forms, waiting.shown) == (blocking.waits, blocking.forms, blocking.shown)


def test_no_scope_is_sent_when_none_is_asked_for() -> None:
    assert LoginRequest(ISSUER, "c").fields() == {"client_id": "c"}


PENDING, SLOW, LATE = error("authorization_pending"), error("slow_down"), fault(Fault.TIMEOUT)


@pytest.mark.parametrize(
    ("polls", "waits"),
    [
        ([], [5]),
        ([PENDING, PENDING], [5, 5, 5]),
        ([SLOW, PENDING], [5, 10, 10]),  # section 3.5: for this and all later polls
        ([SLOW, SLOW, PENDING], [5, 10, 15, 15]),
        ([LATE, LATE, PENDING], [5, 10, 20, 5]),  # doubled for each, back once there is an answer
        ([SLOW, LATE, PENDING], [5, 10, 20, 10]),
        ([fault(Fault.CONNECT), PENDING], [5, 10, 5]),
        ([fault(Fault.PROTOCOL), PENDING], [5, 10, 5]),
        ([error("x", 503), PENDING], [5, 10, 5]),
        ([Reply(502, {}, b"<html>"), PENDING], [5, 10, 5]),
        ([error("x", 429), PENDING], [5, 10, 5]),
    ],
)
def test_the_pace(polls: list[Any], waits: list[float]) -> None:
    world = World(polls=list(polls))
    world.log_in()
    assert world.waits == waits


@pytest.mark.parametrize(("interval", "first"), [(None, 5), (1, 1), (0, 1), (0.2, 1), (17, 17)])
def test_the_interval_is_the_servers_but_never_a_flood(interval: float | None, first: float) -> None:
    code = {name: value for name, value in CODE.items() if name != "interval"}
    world = World(code=code if interval is None else code | {"interval": interval})
    world.log_in()
    assert world.waits == [first]


def test_backing_off_ends_at_a_minute_unless_the_server_wants_more() -> None:
    pace = Pace(5)
    for _ in range(2_000):
        pace.unanswered()
    assert pace.seconds == 60
    assert Pace(90).seconds == 90


def test_a_code_that_nobody_approves_expires_without_a_poll_after_its_end() -> None:
    world = World(polls=[PENDING] * 1_000)
    with pytest.raises(LoginRefusedError, match="expired before it was approved") as caught:
        world.log_in()
    assert caught.value.error == "expired_token"
    assert sum(world.waits) < CODE["expires_in"]


def test_a_code_that_is_good_for_years_is_not_waited_for_so_long() -> None:
    world = World(code=CODE | {"expires_in": 9e8}, polls=[PENDING] * 1_000)
    with pytest.raises(LoginRefusedError, match="expired before it was approved"):
        world.log_in()
    assert 1_700 < sum(world.waits) < 1_800


@pytest.mark.parametrize(
    ("code", "says", "hint"),
    [
        ("access_denied", "denied on the device page", "choose to allow"),
        ("expired_token", "expired before it was approved", "new code in time"),
        ("invalid_client", "does not know this client", "--client-id"),
        ("unauthorized_client", "may not use the device authorization grant", "Keycloak"),
        ("unsupported_grant_type", "does not offer the device authorization grant", "Switch"),
        ("invalid_grant", "unknown, used already", "new code"),
        ("invalid_scope", "scope does not exist", "--scope"),
        ("invalid_request", "did not understand", "log"),
        ("somebody_elses_error", "refused the login", "log"),
    ],
)
@pytest.mark.parametrize("where", ["authorization", "poll"])
def test_a_refusal_says_what_it_is_and_what_to_do(code: str, says: str, hint: str, where: str) -> None:
    refusal = error(code, 401, error_description="in its\nown words")
    world = World(code=refusal) if where == "authorization" else World(polls=[PENDING, refusal])
    with pytest.raises(LoginRefusedError, match=says) as caught:
        world.log_in()
    assert caught.value.error == code
    assert caught.value.exit_code == 1
    assert hint in (caught.value.hint or "")
    assert "in its\\nown words" in caught.value.what


@pytest.mark.parametrize(
    ("world", "says"),
    [
        (World(code=Reply(400, {}, b"{}")), "without an OAuth error code"),
        (World(code=error(7)), "without an OAuth error code"),
        (World(code=Reply(200, {}, b"<html>")), "not a JSON object"),
        (World(code=CODE | {"device_code": ""}), "without device_code"),
        (World(code=CODE | {"user_code": 7}), "without user_code"),
        (World(code=CODE | {"expires_in": True}), "without expires_in"),
        (World(code=CODE | {"expires_in": "120"}), "without expires_in"),
        (World(code=CODE | {"expires_in": -1}), "without expires_in"),
        (World(code=CODE | {"interval": "5"}), "without interval"),
        (World(code=CODE | {"verification_uri": None}), "without verification_uri"),
        (World(code=CODE | {"interval": -5}), "without interval"),
        (World(code=CODE | {"interval": 1e300}), "without interval"),
        (World(polls=[Reply(400, {}, b"<html>")]), "not a JSON object"),
        (World(polls=[Reply(400, {}, b"{}")]), "without an OAuth error code"),
        (World(token=TOKEN | {"token_type": "DPoP"}), "of type 'DPoP', not Bearer"),
        (World(token=TOKEN | {"access_token": None}), "without access_token"),
        (World(token=TOKEN | {"access_token": "a secret token"}), "not a bearer token"),
        (World(token=TOKEN | {"expires_in": "soon"}), "without expires_in"),
    ],
)
def test_an_answer_that_is_none(world: "World", says: str) -> None:
    with pytest.raises(MetadataError, match=says) as caught:
        world.log_in()
    assert caught.value.exit_code == 3
    assert "secret" not in str(caught.value)


def test_a_token_without_an_end_is_a_token() -> None:
    world = World(token={name: TOKEN[name] for name in ("access_token", "token_type")})
    token = world.log_in()
    assert (token.expires_at, token.scope) == (None, None)


@pytest.mark.parametrize("kind", [Fault.TLS, Fault.REDIRECT, Fault.TOO_LARGE, Fault.ENCODING, Fault.URL])
def test_a_fault_that_asking_again_cannot_mend_ends_the_login(kind: Fault) -> None:
    with pytest.raises(FetchError):
        World(polls=[fault(kind)]).log_in()


@pytest.mark.parametrize("world", [World(metadata=fault(Fault.TIMEOUT)), World(code=fault(Fault.TIMEOUT))])
def test_no_answer_to_the_first_requests_ends_the_login(world: "World") -> None:
    with pytest.raises(FetchError):
        world.log_in()


def test_an_issuer_without_the_grant() -> None:
    without = {name: value for name, value in METADATA.items() if name != "device_authorization_endpoint"}
    with pytest.raises(UsageError, match="offers no device authorization grant"):
        World(metadata=without).log_in()


@pytest.mark.parametrize(
    "world",
    [
        World(token=TOKEN | {"access_token": "a secret token"}),
        World(token=TOKEN | {"access_token": "a.secret.token", "token_type": "DPoP"}),
        World(polls=[error("access_denied")]),
        World(polls=[fault(Fault.TLS)]),
    ],
)
def test_no_secret_in_a_traceback_with_locals(world: "World") -> None:
    with pytest.raises(PgbearerError) as caught:
        world.log_in()
    frames = traceback.walk_tb(caught.value.__traceback__)
    ours = (frame for frame in frames if "/client/" in frame[0].f_code.co_filename)
    report = "".join(traceback.StackSummary.extract(ours, capture_locals=True).format())
    assert "device.py" in report
    assert "secret" not in report.replace("_secret", "").replace(repr(world), "")


def test_the_device_code_is_in_no_repr() -> None:
    steps = World().steps()
    asked = [next(steps), steps.send(Reply(200, {}, json.dumps(METADATA).encode()))]
    asked += [steps.send(Reply(200, {}, json.dumps(CODE).encode())), steps.send(None), steps.send(None)]
    assert "/token" in repr(asked)
    assert "dc-secret" not in repr(asked)
