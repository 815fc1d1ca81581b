"""What an introspection answer must say, by table; how often the issuer is asked, and with what."""

import asyncio
import base64
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pgbearer.config.introspection import Introspection
from pgbearer.http import Fault, FetchError, Reply
from pgbearer.tokens import Denied
from pgbearer.tokens.introspection import Introspector
from pgbearer.tokens.introspection_answer import read_introspection
from pgbearer.verified import Verified
from pgbearer.wire import Reason
from tests.issuer import ABSENT, Mint
from tests.unit.fix_tokens import Desk, FakeClock, settings_for

NOW = 1_800_000_000


async def verified_by(mint: Mint) -> tuple[str, Verified]:
    desk = Desk(mint)
    await desk.fetch()
    token = mint.token(iat=NOW, exp=NOW + 300, jti="onrtdg:7")
    return token, await desk.verify(token, now=float(NOW))


def reply(body: Mapping[str, Any] | bytes, status: int = 200, kind: str = "application/json") -> Reply:
    return Reply(status, {"content-type": kind}, body if isinstance(body, bytes) else json.dumps(body).encode())


def answer(mint: Mint, **changes: Any) -> dict[str, Any]:
    """What Keycloak 26.7 answers, but for `changes`."""
    said = mint.claims(iat=NOW, exp=NOW + 300, jti="onrtdg:7")
    said |= {"active": True, "client_id": said["azp"], "token_type": "Bearer", "username": "alice"}
    return {name: value for name, value in {**said, **changes}.items() if value is not ABSENT}


async def reason_of(mint: Mint, given: Reply) -> Reason:
    _, verified = await verified_by(mint)
    try:
        read_introspection(given, verified)
    except Denied as denied:
        return denied.reason
    return Reason.ALLOWED


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": ["db:demo"]},
        {"aud": ABSENT, "iss": ABSENT, "jti": ABSENT, "client_id": ABSENT, "azp": ABSENT, "token_type": ABSENT},
        {"token_type": "bearer"},
        {"something": {"new": [1]}},
    ],
)
async def test_good(mint: Mint, changes: dict[str, Any]) -> None:
    assert await reason_of(mint, reply(answer(mint, **changes))) is Reason.ALLOWED


NOT_TRUE: tuple[Any, ...] = ("true", "false", 1, 0, None, [], {"active": True}, "yes", ABSENT)
INVALID: tuple[dict[str, Any], ...] = (
    *({"active": value} for value in NOT_TRUE),
    *({"iss": value} for value in ("https://evil.example", None, ["x"])),
    *({"sub": value} for value in (ABSENT, "somebody else", None, ["f1a6bb5e-6f40-4b4e-8b55-5f2b29a35b2e"])),
    *({"exp": value} for value in (ABSENT, NOW + 301, NOW + 300.0, str(NOW + 300), None, True)),
    *({"iat": value} for value in (NOW - 1, float(NOW))),
    *({"aud": value} for value in ("db:other", ["db:demo", "db:other"], [], None, {"db:demo": 1}, ["db:demo", 1])),
    *({"jti": value} for value in ("onrtdg:8", None)),
    *({"client_id": value} for value in ("other", None)),
    {"azp": "other"},
    *({"token_type": value} for value in ("DPoP", "N_A", None, ["Bearer"])),
)


@pytest.mark.parametrize("changes", INVALID, ids=str)
async def test_an_answer_that_is_not_about_this_token_or_says_neither_yes_nor_no(
    mint: Mint, changes: dict[str, Any]
) -> None:
    assert await reason_of(mint, reply(answer(mint, **changes))) is Reason.INTROSPECTION_INVALID


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (reply({"active": False}), Reason.TOKEN_INACTIVE),
        (reply({"active": False, "sub": "anybody"}), Reason.TOKEN_INACTIVE),
        (reply({}, 401), Reason.INTROSPECTION_REFUSED),
        (reply({"active": True}, 403), Reason.INTROSPECTION_REFUSED),
        (reply({"active": True}, 400), Reason.INTROSPECTION_REFUSED),
        (reply({}, 404), Reason.INTROSPECTION_REFUSED),
        (reply({"active": True}, 429), Reason.ISSUER_UNAVAILABLE),
        (reply({"active": True}, 500), Reason.ISSUER_UNAVAILABLE),
        (reply({"active": True}, 503), Reason.ISSUER_UNAVAILABLE),
        (reply({"active": True}, 201), Reason.INTROSPECTION_INVALID),
        (reply(b"", 204), Reason.INTROSPECTION_INVALID),
        (reply(b"<!doctype html>", kind="text/html"), Reason.INTROSPECTION_INVALID),
        (reply(b"eyJ.a.b", kind="application/token-introspection+jwt"), Reason.INTROSPECTION_INVALID),
        (reply(b"true"), Reason.INTROSPECTION_INVALID),
        (reply(b""), Reason.INTROSPECTION_INVALID),
        (reply(b'{"active": true, "active": false}'), Reason.INTROSPECTION_INVALID),
        (reply(b"[" * 2000), Reason.INTROSPECTION_INVALID),
    ],
    ids=lambda value: value.value if isinstance(value, Reason) else f"{value.status} {value.body[:20]!r}",
)
async def test_every_other_answer_has_its_reason(mint: Mint, given: Reply, reason: Reason) -> None:
    assert await reason_of(mint, given) is reason


class FakePool:
    """Keeps what it was asked, and answers `given`."""

    def __init__(self, given: Reply | FetchError) -> None:
        self.given = given
        self.asked: list[tuple[str, bytes, str, Mapping[str, str]]] = []
        self.closed = False
        self.began = asyncio.Event()
        self.hold: asyncio.Event | None = None

    async def post(self, url: str, body: bytes, *, content_type: str, headers: Mapping[str, str]) -> Reply:
        self.asked.append((url, body, content_type, headers))
        self.began.set()
        if self.hold is not None:
            await self.hold.wait()
        if isinstance(self.given, FetchError):
            raise self.given
        return self.given

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("a secret: with + and %\n")
    path.chmod(0o600)
    return path


def introspector(mint: Mint, pool: FakePool, secret_file: Path, clock: FakeClock | None = None, **more: Any) -> Any:
    settings = Introspection(
        endpoint=f"{mint.url}/introspect",
        client_id="db:demo",
        client_secret_file=secret_file,
        **{"timeout": "2s", "cache": "0s"} | more,
    )
    return Introspector(settings_for(mint), settings, pool=pool, steady=clock or FakeClock())


async def test_what_is_sent_by_basic(mint: Mint, secret_file: Path) -> None:
    token, verified = await verified_by(mint)
    pool = FakePool(reply(answer(mint)))
    await introspector(mint, pool, secret_file).confirm(token, verified)
    ((url, body, kind, headers),) = pool.asked
    assert url == f"{mint.url}/introspect"
    assert kind == "application/x-www-form-urlencoded"
    assert body == f"token={token}&token_type_hint=access_token".encode()
    scheme, _, pair = headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair)) == ("Basic", b"db%3Ademo:a+secret%3A+with+%2B+and+%25")


async def test_what_is_sent_by_post(mint: Mint, secret_file: Path) -> None:
    token, verified = await verified_by(mint)
    pool = FakePool(reply(answer(mint)))
    await introspector(mint, pool, secret_file, client_auth="post").confirm(token, verified)
    ((_, body, _, headers),) = pool.asked
    assert headers == {}
    assert body.endswith(b"&client_id=db%3Ademo&client_secret=a+secret%3A+with+%2B+and+%25")


@pytest.mark.parametrize("text", [None, "", "\n", "caf\u00e9", "two\nlines", "x" * 1025])
async def test_a_secret_that_cannot_be_used_denies_and_asks_nobody(
    mint: Mint, secret_file: Path, text: str | None
) -> None:
    _put(secret_file, text)
    token, verified = await verified_by(mint)
    pool = FakePool(reply(answer(mint)))
    with pytest.raises(Denied) as caught:
        await introspector(mint, pool, secret_file).confirm(token, verified)
    assert caught.value.reason is Reason.ISSUER_UNAVAILABLE
    assert pool.asked == []


def _put(file: Path, text: str | None) -> None:
    file.unlink()
    if text is not None:
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)


def _make_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


@pytest.mark.parametrize("spoil", [lambda file: file.chmod(0o660), _make_pipe])
async def test_a_secret_that_others_could_have_written_or_that_is_a_pipe_denies_at_once(
    mint: Mint, secret_file: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(secret_file)
    token, verified = await verified_by(mint)
    pool = FakePool(reply(answer(mint)))
    with pytest.raises(Denied) as caught:
        await introspector(mint, pool, secret_file).confirm(token, verified)
    assert caught.value.reason is Reason.ISSUER_UNAVAILABLE
    assert pool.asked == []


async def test_a_fault_denies_and_names_no_token(mint: Mint, secret_file: Path) -> None:
    token, verified = await verified_by(mint)
    pool = FakePool(FetchError(Fault.TIMEOUT, "no complete answer within 2 s", url="https://sso.example.com/x"))
    with pytest.raises(Denied, match="no complete answer") as caught:
        await introspector(mint, pool, secret_file).confirm(token, verified)
    assert caught.value.reason is Reason.ISSUER_UNAVAILABLE
    assert token.split(".")[2] not in str(caught.value)


async def test_by_default_every_login_is_asked_about(mint: Mint, secret_file: Path) -> None:
    token, verified = await verified_by(mint)
    pool = FakePool(reply(answer(mint)))
    asking = introspector(mint, pool, secret_file)
    for _ in range(3):
        await asking.confirm(token, verified)
    assert len(pool.asked) == 3


async def test_a_yes_is_remembered_for_so_long_and_a_no_never(mint: Mint, secret_file: Path) -> None:
    token, verified = await verified_by(mint)
    clock, pool = FakeClock(), FakePool(reply(answer(mint)))
    asking = introspector(mint, pool, secret_file, clock, cache="30s")
    await asking.confirm(token, verified)
    clock.seconds += 29
    await asking.confirm(token, verified)
    assert len(pool.asked) == 1
    pool.given = reply({"active": False})
    clock.seconds += 1
    for _ in range(2):
        with pytest.raises(Denied):
            await asking.confirm(token, verified)
    assert len(pool.asked) == 3


async def test_what_is_remembered_is_of_one_token(mint: Mint, secret_file: Path) -> None:
    token, verified = await verified_by(mint)
    pool = FakePool(reply(answer(mint)))
    asking = introspector(mint, pool, secret_file, cache="30s")
    await asking.confirm(token, verified)
    await asking.confirm(token + "x", verified)
    assert len(pool.asked) == 2


async def test_closing_lets_questions_under_way_be_answered(mint: Mint, secret_file: Path) -> None:
    token, verified = await verified_by(mint)
    pool = FakePool(reply(answer(mint)))
    pool.hold = asyncio.Event()
    asking = introspector(mint, pool, secret_file)
    question = asyncio.create_task(asking.confirm(token, verified))
    await pool.began.wait()
    closing = asyncio.create_task(asking.aclose())
    await asyncio.sleep(0)
    before = pool.closed
    pool.hold.set()
    await asyncio.gather(question, closing)
    assert (before, pool.closed) == (False, True)
    with pytest.raises(Denied, match="reloaded meanwhile"):
        await asking.confirm(token, verified)


@pytest.mark.parametrize("text", ["0s", "61s", "1d"])
def test_cache_and_timeout_are_bounded(text: str, secret_file: Path) -> None:
    key = "timeout" if text == "0s" else "cache"
    usual: dict[str, Any] = {"endpoint": "https://x/y", "client_id": "x", "client_secret_file": secret_file}
    with pytest.raises(ValueError, match=key):
        Introspection(**(usual | {key: text}))
