"""What holds for every token: no change to one is accepted, and remembering changes no answer."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgbearer.tokens import Denied, parse
from pgbearer.tokens.strict_json import NotStrictJsonError, parse_object
from pgbearer.verified import Verified
from pgbearer.wire import Reason
from tests.issuer import Mint
from tests.unit.fix_tokens import Desk

NOW = 1_800_000_000
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One loop for all examples; hypothesis calls plain functions."""
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module", params=["RS256", "ES256", "EdDSA"])
def judged(request: pytest.FixtureRequest, runner: asyncio.Runner) -> tuple[Desk, str]:
    """A desk and a good token."""
    mint = Mint(algorithm=request.param)
    desk = Desk(mint)
    runner.run(desk.fetch())
    token = mint.token(iat=NOW, exp=NOW + 300)
    assert runner.run(desk.refusal(token, now=float(NOW))) is Reason.ALLOWED
    return desk, token


@st.composite
def edits(draw: st.DrawFn) -> tuple[str, float, str]:
    """An edit of text: what to do, where (as a part of its length), and with what."""
    kind = draw(st.sampled_from(["replace", "insert", "delete", "truncate", "double", "swap"]))
    return kind, draw(st.floats(0, 1, exclude_max=True)), draw(st.sampled_from(BASE64URL + ".=+/ \0"))


def edited(text: str, edit: tuple[str, float, str]) -> str:
    kind, place, character = edit
    at = int(place * len(text))
    match kind:
        case "replace":
            return text[:at] + character + text[at + 1 :]
        case "insert":
            return text[:at] + character + text[at:]
        case "delete":
            return text[:at] + text[at + 1 :]
        case "truncate":
            return text[:at]
        case "double":
            return text[:at] + text[at : at + 4] + text[at:]
        case _:
            return text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]


@settings(max_examples=300, deadline=None)
@given(changes=st.lists(edits(), min_size=1, max_size=3))
def test_no_change_to_a_token_is_accepted(
    runner: asyncio.Runner, judged: tuple[Desk, str], changes: list[tuple[str, float, str]]
) -> None:
    desk, token = judged
    changed = token
    for change in changes:
        changed = edited(changed, change)
    if changed != token:
        assert runner.run(desk.refusal(changed, now=float(NOW))) is not Reason.ALLOWED


@settings(max_examples=300, deadline=None)
@given(token=st.one_of(st.text(), st.binary(), st.from_regex(r"[A-Za-z0-9_-]{0,40}(\.[A-Za-z0-9_-]{0,40}){0,5}")))
def test_parsing_anything_ends_in_a_token_or_a_refusal(token: str | bytes) -> None:
    try:
        parse(token)
    except Denied as denied:
        assert denied.reason in {  # noqa: PT017 - most examples are refused, which is half of what is asserted
            Reason.TOKEN_MISSING,
            Reason.TOKEN_MALFORMED,
            Reason.HEADER_NOT_ALLOWED,
        }


@settings(max_examples=300, deadline=None)
@given(data=st.one_of(st.binary(), st.text().map(str.encode), st.text(alphabet='[]{}",:\\u0d8 1en').map(str.encode)))
def test_strict_json_reads_what_json_reads_or_refuses(data: bytes) -> None:
    try:
        value = parse_object(data)
    except NotStrictJsonError:
        return
    assert value == json.loads(data)


@dataclass
class Login:
    """One login of a sequence, with what happens before it."""

    token: int
    seconds: int
    scope: str
    hba: str
    happens: str


LOGINS = st.builds(
    Login,
    token=st.integers(0, 3),
    seconds=st.integers(0, 90),
    scope=st.sampled_from(["db:demo", "db:admin"]),
    hba=st.sampled_from(["https://sso.example.com/realms/demo", "https://other.example"]),
    happens=st.sampled_from(["nothing", "nothing", "rotation", "outage", "refresh"]),
)


async def outcome(desk: Desk, token: str, login: Login, now: float) -> Verified | Reason:
    try:
        return await desk.verify(token, hba_issuer=login.hba, hba_scopes=(login.scope,), now=now)
    except Denied as denied:
        return denied.reason


async def judge(logins: list[Login], cached: int) -> list[Verified | Reason]:
    """The outcome of each login, at a desk that remembers this many tokens."""
    mint = Mint()
    desk = Desk(mint, cached=cached, keys={"max_stale": "2m"}, max_lifetime="2m")
    await desk.fetch()
    tokens = [mint.token(iat=NOW + 30 * n, exp=NOW + 30 * n + 100, jti=f"onrtdg:{n}") for n in range(4)]
    outcomes, now = [], float(NOW)
    for login in logins:
        now += login.seconds
        desk.clock.seconds += login.seconds
        match login.happens:
            case "rotation":
                mint.rotate_keys()
                await desk.fetch()
            case "outage":
                desk.documents.broken = True
            case "refresh":
                desk.documents.broken = False
                await desk.fetch()
            case _:
                pass
        outcomes.append(await outcome(desk, tokens[login.token], login, now))
    return outcomes


@settings(max_examples=150, deadline=None)
@given(logins=st.lists(LOGINS, min_size=2, max_size=12))
def test_remembering_changes_no_answer(runner: asyncio.Runner, logins: list[Login]) -> None:
    assert runner.run(judge(logins, cached=3)) == runner.run(judge(logins, cached=0))
