"""The authorization code grant with PKCE: what the browser is sent with, which answer counts, what is given for it."""

import base64
import hashlib
import json
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pgbearer.client import LoginRefusedError, MetadataError
from pgbearer.client.grant import Grant
from pgbearer.client.login.browser import code_login
from pgbearer.client.login.request import LoginRequest
from pgbearer.client.login.steps import Browse, Redirect, Steps, run, run_async
from pgbearer.errors import PgbearerError, UsageError
from pgbearer.http import Fault, FetchError, Reply

ISSUER = "https://sso.test/realms/corp"
HERE = "http://127.0.0.1:54321/callback"
METADATA = {
    "issuer": ISSUER,
    "token_endpoint": f"{ISSUER}/token",
    "authorization_endpoint": f"{ISSUER}/auth",
    "authorization_response_iss_parameter_supported": True,
}
TOKEN = {"access_token": "a.secret.token", "token_type": "Bearer", "expires_in": 300, "refresh_token": "r-secret"}
GOOD = {"code": "c-secret", "state": "the-state-32", "iss": ISSUER}
REQUEST = LoginRequest(ISSUER, "pgbearer-cli", "openid db:demo")


def without(member: str, of: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in of.items() if name != member}


@dataclass
class World:
    """Issuer and browser in one."""

    redirect: Mapping[str, str] | None = field(default_factory=lambda: GOOD, repr=False)
    metadata: Any = field(default_factory=lambda: METADATA)
    token: Any = field(default_factory=lambda: TOKEN, repr=False)
    visits: list[Browse] = field(default_factory=list)
    forms: list[tuple[str, dict[str, str]]] = field(default_factory=list, repr=False)

    def get(self, url: str) -> Reply:
        return self._reply(self.metadata)

    def post_form(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Reply:
        self.forms.append((url, dict(fields)))
        return self._reply(self.token)

    def visit(self, step: Browse) -> Redirect | None:
        self.visits.append(step)
        return None if self.redirect is None else Redirect(self.redirect)

    def _reply(self, answer: Any) -> Reply:
        if isinstance(answer, FetchError):
            raise answer
        return answer if isinstance(answer, Reply) else Reply(200, {}, json.dumps(answer).encode())

    def steps(self, patience: float = 300) -> Steps[Grant]:
        texts: Iterator[str] = iter(["the-state", "the-verifier"])
        return code_login(
            REQUEST,
            redirect_uri=HERE,
            wall=lambda: 1_000_000.0,
            patience=patience,
            random=lambda size: f"{next(texts)}-{size}",
        )

    def log_in(self) -> Grant:
        return run(self.steps(), self, browser=self)


class AsyncWorld:
    """The same for the asynchronous shell."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def get(self, url: str) -> Reply:
        return self.world.get(url)

    async def post_form(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Reply:
        return self.world.post_form(url, fields)

    async def visit_async(self, step: Browse) -> Redirect | None:
        return self.world.visit(step)


def test_a_login() -> None:
    world = World()
    grant = world.log_in()
    assert (grant.access.reveal(), grant.access.expires_at) == ("a.secret.token", 1_000_300)
    assert (grant.client_id, grant.refresh and grant.refresh.reveal()) == ("pgbearer-cli", "r-secret")
    form = {
        "grant_type": "authorization_code",
        "code": "c-secret",
        "redirect_uri": HERE,
        "client_id": "pgbearer-cli",
        "code_verifier": "the-verifier-32",
    }
    assert world.forms == [(f"{ISSUER}/token", form)]


def test_what_the_browser_is_sent_with() -> None:
    world = World()
    world.log_in()
    (visit,) = world.visits
    parts = urlsplit(visit.url)
    digest = hashlib.sha256(b"the-verifier-32").digest()
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{ISSUER}/auth"
    assert parse_qs(parts.query, strict_parsing=True) == {
        "response_type": ["code"],
        "client_id": ["pgbearer-cli"],
        "scope": ["openid db:demo"],
        "redirect_uri": [HERE],
        "state": ["the-state-32"],
        "code_challenge": [base64.urlsafe_b64encode(digest).decode().rstrip("=")],
        "code_challenge_method": ["S256"],
    }
    assert (visit.state, visit.seconds) == ("the-state-32", 300)
    assert "the-verifier" not in repr(visit)


def test_the_example_of_rfc_7636() -> None:
    texts = iter(["state", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"])
    world = World(redirect=GOOD | {"state": "state"})
    steps = code_login(REQUEST, redirect_uri=HERE, wall=lambda: 0.0, random=lambda _size: next(texts))
    run(steps, world, browser=world)
    assert "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&" in world.visits[0].url


def test_no_two_logins_are_alike_and_none_is_guessed() -> None:
    world, sent = World(redirect=None), set()
    for _ in range(2):
        with pytest.raises(LoginRefusedError):
            run(code_login(REQUEST, redirect_uri=HERE, wall=lambda: 0.0), world, browser=world)
    for visit in world.visits:
        (challenge,) = parse_qs(urlsplit(visit.url).query)["code_challenge"]
        assert (len(visit.state), len(challenge)) == (43, 43)
        sent |= {visit.state, challenge}
    assert len(sent) == 4


async def test_the_asynchronous_shell_does_the_same() -> None:
    blocking, waiting = World(), World()
    expected = blocking.log_in()
    outside = AsyncWorld(waiting)
    assert await run_async(waiting.steps(), outside, browser=outside) == expected
    assert (waiting.visits, waiting.forms) == (blocking.visits, blocking.forms)


def test_an_endpoint_with_a_query_keeps_it() -> None:
    world = World(metadata=METADATA | {"authorization_endpoint": f"{ISSUER}/auth?tenant=7"})
    world.log_in()
    assert world.visits[0].url.startswith(f"{ISSUER}/auth?tenant=7&response_type=code&")


def test_an_issuer_without_such_a_login() -> None:
    world = World(metadata=without("authorization_endpoint", METADATA))
    with pytest.raises(UsageError, match="no login with a browser") as caught:
        world.log_in()
    assert "--device" in (caught.value.hint or "")
    assert world.visits == []


@pytest.mark.parametrize("endpoint", ["http://sso.test/auth", "javascript:alert(1)", f"{ISSUER}/auth#x", 7])
def test_no_browser_is_sent_to_an_address_that_is_not_https(endpoint: Any) -> None:
    world = World(metadata=METADATA | {"authorization_endpoint": endpoint})
    with pytest.raises(MetadataError, match="authorization_endpoint is not an https URL"):
        world.log_in()
    assert world.visits == []


PROMISED, SILENT = METADATA, without("authorization_response_iss_parameter_supported", METADATA)


@pytest.mark.parametrize(
    ("redirect", "metadata", "says"),
    [
        (GOOD | {"state": "another"}, PROMISED, "the answer to another question"),
        (GOOD | {"state": "th\xe9-state-32"}, PROMISED, "the answer to another question"),
        (without("state", GOOD), PROMISED, "the answer to another question"),
        (GOOD | {"iss": ISSUER + "/"}, PROMISED, "of another issuer"),
        (GOOD | {"iss": ISSUER + "/"}, SILENT, "of another issuer"),
        (GOOD | {"iss": ISSUER.upper()}, SILENT, "of another issuer"),
        (GOOD | {"iss": ""}, SILENT, "of another issuer"),
        (GOOD | {"iss": "\x1b[2J"}, SILENT, r"of another issuer: '\\x1b\[2J'"),
        (without("iss", GOOD), PROMISED, "of another issuer: None"),
        ({"error": "access_denied", "state": "the-state-32"}, PROMISED, "of another issuer: None"),
        (without("code", GOOD), PROMISED, "without a code"),
        (GOOD | {"code": ""}, PROMISED, "without a code"),
    ],
)
def test_an_answer_that_does_not_count(redirect: dict[str, str], metadata: Any, says: str) -> None:
    world = World(redirect=redirect, metadata=metadata)
    with pytest.raises(MetadataError, match=says) as caught:
        world.log_in()
    assert (caught.value.exit_code, world.forms) == (3, [])
    assert "c-secret" not in str(caught.value)


@pytest.mark.parametrize("promise", [False, None, "true", 1])
def test_an_issuer_that_does_not_promise_to_name_itself_need_not(promise: Any) -> None:
    metadata = METADATA | {"authorization_response_iss_parameter_supported": promise}
    World(redirect=without("iss", GOOD), metadata=metadata).log_in()


@pytest.mark.parametrize(
    ("code", "says", "hint"),
    [
        ("access_denied", "denied in the browser", "choose to allow"),
        ("unauthorized_client", "may not log in with a browser", "Standard flow"),
        ("invalid_scope", "scope does not exist", "--scope"),
        ("temporarily_unavailable", "cannot log anybody in now", "later"),
        ("server_error", "server failed", "log"),
        ("somebody_elses_error", "refused the login", "log"),
        ("\x1b[2J", r"refused the login \(\\x1b\[2J", "log"),
    ],
)
def test_a_no_through_the_browser_says_what_it_is(code: str, says: str, hint: str) -> None:
    said = {"error": code, "error_description": "in its\nown \x1b]0;words\u202e" + "x" * 10_000}
    world = World(redirect=without("code", GOOD) | said)
    with pytest.raises(LoginRefusedError, match=says) as caught:
        world.log_in()
    assert (caught.value.error, caught.value.exit_code, world.forms) == (code, 1, [])
    assert hint in (caught.value.hint or "")
    assert r"in its\nown \x1b]0;words\u202e" in caught.value.what
    assert len(caught.value.what) < 1_000


def test_nobody_came_back() -> None:
    world = World(redirect=None)
    with pytest.raises(LoginRefusedError, match="nobody finished the login in the browser in time"):
        world.log_in()


@pytest.mark.parametrize(
    ("token", "kind", "says"),
    [
        (Reply(400, {}, b'{"error": "invalid_grant"}'), LoginRefusedError, "does not take the code"),
        (Reply(401, {}, b'{"error": "invalid_client"}'), LoginRefusedError, "does not know this client"),
        (Reply(503, {}, b"<html>"), MetadataError, "answered 503"),
        (Reply(200, {}, b"<html>"), MetadataError, "not a JSON object"),
        (FetchError(Fault.TIMEOUT, "as the test wants", url=ISSUER), FetchError, "as the test wants"),
    ],
)
def test_a_code_that_gets_no_token(token: Any, kind: type[PgbearerError], says: str) -> None:
    with pytest.raises(kind, match=says):
        World(token=token).log_in()


@pytest.mark.parametrize(
    "world",
    [
        World(redirect=GOOD | {"state": "another"}),
        World(redirect=GOOD | {"iss": "another"}),
        World(redirect=GOOD | {"error": "access_denied"}),
        World(token=Reply(400, {}, b'{"error": "invalid_grant"}')),
        World(token=TOKEN | {"token_type": "DPoP"}),
    ],
)
def test_no_secret_in_a_traceback_with_locals(world: World) -> None:
    with pytest.raises(PgbearerError) as caught:
        world.log_in()
    frames = traceback.walk_tb(caught.value.__traceback__)
    ours = (frame for frame in frames if "/client/" in frame[0].f_code.co_filename)
    report = "".join(traceback.StackSummary.extract(ours, capture_locals=True).format())
    assert "browser.py" in report
    assert not any(word in report for word in ("c-secret", "the-verifier", "secret.token", "r-secret"))


def test_steps_that_need_a_browser_say_so_to_who_gives_none() -> None:
    with pytest.raises(TypeError, match="nobody does Browse"):
        run(World().steps(), World())
