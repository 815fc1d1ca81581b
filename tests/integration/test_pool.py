"""Kept connections: bounds, what they show and want to see, and that a certificate counts at every exchange."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pgbearer.errors import UsageError
from pgbearer.http import Fault, FetchError, Pool, leftover
from pgbearer.http import pool as pool_module
from tests.lying_decider import LyingDecider
from tests.parts.authority import Authority

QUESTION = b'{"input": {"id": "d", "request": {"role": "app_readonly"}}}'
SECRET = "eyJhbGciOiJub25lIn0"


@pytest.fixture
async def pool(lying_decider: LyingDecider) -> AsyncIterator[Pool]:
    made = Pool(ca_file=lying_decider.ca_file, timeout=5.0, max_bytes=1000, connections=4)
    yield made
    await made.aclose()


def url(decider: LyingDecider) -> str:
    return f"{decider.url('opa')}/v1/data/pgbearer/login"


async def post(pool: Pool, to: str, **headers: str) -> Any:
    return await pool.post(to, QUESTION, content_type="application/json", headers=headers)


async def test_a_reply(pool: Pool, lying_decider: LyingDecider) -> None:
    reply = await post(pool, url(lying_decider), **{"x-request-id": "d"})
    assert (reply.status, reply.is_json) == (200, True)
    (asked,) = lying_decider.questions
    assert asked.headers["x-request-id"] == "d"
    assert asked.headers["accept-encoding"] == "identity"


async def test_a_kept_connection_is_of_no_use_once_its_certificate_has_ended(
    pool: Pool, lying_decider: LyingDecider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post(pool, url(lying_decider))
    later = SimpleNamespace(time=lambda: time.time() + 31 * 86400)
    monkeypatch.setattr(pool_module, "time", later)
    with pytest.raises(FetchError) as refused:
        await post(pool, url(lying_decider))
    assert refused.value.kind is Fault.TLS
    assert lying_decider.connections == 1


@pytest.mark.parametrize(
    ("breaks", "kind"),
    [
        ("hang", Fault.TIMEOUT),
        ("trickle", Fault.TIMEOUT),
        ("huge", Fault.TOO_LARGE),
        ("cut", Fault.PROTOCOL),
        ("down", Fault.CONNECT),
    ],
)
async def test_bounds(lying_decider: LyingDecider, breaks: str, kind: Fault) -> None:
    seconds = 0.3 if kind is Fault.TIMEOUT else 10.0
    made = Pool(ca_file=lying_decider.ca_file, timeout=seconds, max_bytes=1000, connections=4)
    getattr(lying_decider, breaks)()
    try:
        with pytest.raises(FetchError) as refused:
            await post(made, url(lying_decider), authorization=f"Bearer {SECRET}")
    finally:
        await made.aclose()
    assert refused.value.kind is kind
    assert SECRET not in refused.value.diagnostics()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(pool: Pool, lying_decider: LyingDecider, status: int) -> None:
    lying_decider.status(status, location=url(lying_decider))
    with pytest.raises(FetchError) as refused:
        await post(pool, url(lying_decider))
    assert refused.value.kind is Fault.REDIRECT
    assert len(lying_decider.questions) == 1


async def test_a_header_that_is_none_is_in_no_message(pool: Pool, lying_decider: LyingDecider) -> None:
    with pytest.raises(FetchError) as refused:
        await post(pool, url(lying_decider), authorization=f"Bearer {SECRET}\r\nx: y")
    assert refused.value.kind is Fault.PROTOCOL
    assert SECRET not in refused.value.diagnostics()
    assert lying_decider.questions == []


@pytest.mark.parametrize("apart", [False, True])
async def test_what_comes_after_an_answer_is_no_answer_to_the_next_question(
    pool: Pool, lying_decider: LyingDecider, apart: bool
) -> None:
    for connections in (1, 2):
        lying_decider.twice(apart=apart)
        with pytest.raises(FetchError, match="more than it was asked") as refused:
            await post(pool, url(lying_decider))
        assert refused.value.kind is Fault.PROTOCOL
        assert lying_decider.connections == connections
    lying_decider.deny()
    assert b'"allow": false' in (await post(pool, url(lying_decider))).body
    await post(pool, url(lying_decider))
    assert lying_decider.connections == 3


async def test_a_connection_that_cannot_be_looked_into_is_not_kept(
    pool: Pool, lying_decider: LyingDecider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftover, "_behind_the_answer", lambda _response: None)
    for connections in (1, 2):
        assert (await post(pool, url(lying_decider))).status == 200
        assert lying_decider.connections == connections


@pytest.mark.parametrize("to", ["http://127.0.0.1/", "https://user@127.0.0.1/", "ftp://x/", "https://"])
async def test_only_https_is_asked(pool: Pool, to: str) -> None:
    with pytest.raises(FetchError) as refused:
        await post(pool, to)
    assert refused.value.kind is Fault.URL


async def test_questions_at_a_time_are_bounded_and_all_are_answered(lying_decider: LyingDecider) -> None:
    made = Pool(ca_file=lying_decider.ca_file, timeout=10.0, max_bytes=1000, connections=3)
    try:
        replies = await asyncio.gather(*(post(made, url(lying_decider)) for _ in range(30)))
    finally:
        await made.aclose()
    assert {reply.status for reply in replies} == {200}
    assert 1 <= lying_decider.connections <= 3


async def test_no_place_is_lost_to_an_exchange_that_is_cancelled(lying_decider: LyingDecider) -> None:
    """At whatever step of the event loop that happens: while it connects, asks or reads."""
    made = Pool(ca_file=lying_decider.ca_file, timeout=5.0, max_bytes=1000, connections=1)
    try:
        for steps in range(40):
            exchange = asyncio.create_task(post(made, url(lying_decider)))
            for _ in range(steps):
                await asyncio.sleep(0)
            exchange.cancel()
            await asyncio.gather(exchange, return_exceptions=True)
            assert (await post(made, url(lying_decider))).status == 200
    finally:
        await made.aclose()


async def test_nothing_is_asked_once_it_is_closed(lying_decider: LyingDecider) -> None:
    made = Pool(ca_file=lying_decider.ca_file, timeout=5.0, max_bytes=1000, connections=2)
    await post(made, url(lying_decider))
    lying_decider.hang()
    exchange = asyncio.create_task(post(made, url(lying_decider)))
    await asyncio.to_thread(lying_decider.await_questions, 2)
    await made.aclose()
    for late in (exchange, post(made, url(lying_decider))):
        with pytest.raises(FetchError):
            await late
    assert len(lying_decider.questions) == 2


def test_files_that_do_not_belong_together(issuer_authority: Authority, tmp_path: Path) -> None:
    one, other = (issuer_authority.client(f"pool-{name}") for name in ("one", "other"))
    for certificate, key in ((one.cert_file, other.key_file), (tmp_path / "none", one.key_file)):
        with pytest.raises(UsageError, match="certificate and key"):
            Pool(certificate=(certificate, key), timeout=1.0, max_bytes=1000, connections=1)
