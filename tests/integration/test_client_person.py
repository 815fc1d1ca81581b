"""A person's login over its whole life at a programmable issuer: kept, renewed ahead, over, asked for again, ended."""

import asyncio
import gc
import io
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from pgbearer.client import (
    AccessToken,
    DeviceCode,
    Grant,
    MemoryStore,
    NotLoggedInError,
    PersonSource,
    Secret,
    StoreError,
    TokenKey,
)
from pgbearer.client.sources.ask import How
from pgbearer.errors import PgbearerError, UnreachableError
from tests.code_issuer import CodeIssuer
from tests.parts.authority import Authority
from tests.parts.processes import wait_until
from tests.session_issuer import SessionIssuer

Make = Callable[..., PersonSource]


@pytest.fixture(scope="module")
def one_issuer(issuer_authority: Authority) -> Iterator[SessionIssuer]:
    with SessionIssuer(issuer_authority) as serving:
        yield serving


@pytest.fixture
def issuer(one_issuer: SessionIssuer) -> SessionIssuer:
    one_issuer.begin_anew()
    return one_issuer


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(issuer: SessionIssuer, store: MemoryStore, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr("pgbearer.client.sources.person._EARLY_PATIENCE", 0.3)

    def make(**changes: Any) -> PersonSource:
        usual = {"ca_file": issuer.ca_file, "store": store, "how": "device", "show": lambda _code: None}
        return PersonSource(issuer.url, "cli", **{**usual, "notice": said.append, **changes})

    return make


def keep(issuer: SessionIssuer, store: MemoryStore, left: float) -> Grant:
    """A login in the store whose access token has so many seconds left."""
    now = int(time.time())
    token = issuer.token(iat=now + left - 300, exp=now + left)
    grant = Grant(AccessToken(token, expires_at=now + left), "pgbearer-device", Secret(issuer.begin_session().refresh))
    store.save(TokenKey(issuer.url, "cli", None), grant)
    return grant


async def test_a_good_token_is_given_and_nobody_is_asked(issuer: SessionIssuer, store: MemoryStore, make: Make) -> None:
    kept = keep(issuer, store, 200).access
    source = make()
    assert source.held is None
    assert source.token() == await source.token_async() == source.held == kept
    assert not issuer.forms


@pytest.mark.parametrize("left", [-3600, -1, 10, 50])
async def test_one_that_ends_is_renewed_by_the_client_that_got_it(
    issuer: SessionIssuer, store: MemoryStore, make: Make, left: float
) -> None:
    before = keep(issuer, store, left)
    source = make(how="never")
    token = await source.token_async()
    assert (issuer.refreshes, issuer.reuses, issuer.logins) == (1, 0, 0)
    assert token.reveal() == issuer.issued[0]
    assert issuer.forms[0][1]["client_id"] == "pgbearer-device"
    kept = source.kept()
    assert kept is not None
    assert (kept.access, kept.client_id) == (token, "pgbearer-device")
    assert kept.refresh not in (None, before.refresh)
    assert make().token() == token
    assert issuer.refreshes == 1


async def test_threads_and_tasks_renew_once(issuer: SessionIssuer, store: MemoryStore, make: Make) -> None:
    keep(issuer, store, -1)
    source, other = make(), make()
    with ThreadPoolExecutor(50) as pool:
        threads = [pool.submit((source if number % 2 else other).token) for number in range(50)]
        tasks = await asyncio.gather(*((source if number % 2 else other).token_async() for number in range(50)))
        assert {token.reveal() for token in (*tasks, *(thread.result() for thread in threads))} == {issuer.issued[0]}
    assert (issuer.refreshes, issuer.reuses) == (1, 0)


def test_an_early_renewal_holds_nobody_up(issuer: SessionIssuer, store: MemoryStore, make: Make) -> None:
    kept = keep(issuer, store, 50).access
    issuer.hang()
    source = make(timeout=1.0)
    assert source.token() == kept
    wait_until(source._flights._under_way.future.done, 60, "the renewal to fail")  # type: ignore[union-attr]
    asked = sum(issuer.requests.values())
    issuer.mend()
    assert source.token() == source.token() == kept
    assert sum(issuer.requests.values()) == asked  # not again so soon


def test_an_issuer_that_is_down_is_said_only_when_the_token_has_ended(
    issuer: SessionIssuer, store: MemoryStore, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep(issuer, store, 20).access
    issuer.down()
    source, now = make(), time.time()
    assert source.token() == kept
    monkeypatch.setattr("time.time", lambda: now + 19)
    assert source.token() == kept
    monkeypatch.setattr("time.time", lambda: now + 24)
    with pytest.raises(UnreachableError, match=r"the token ended [345] s ago, and it cannot be renewed") as caught:
        source.token()
    assert caught.value.exit_code == 3
    assert "try again when the issuer answers" in str(caught.value)
    issuer.mend()
    monkeypatch.undo()
    monkeypatch.setattr("time.time", lambda: now + 24)
    assert source.token().reveal() == issuer.issued[0]
    assert (issuer.refreshes, issuer.logins) == (1, 0)


def test_an_issuer_that_does_not_even_shake_hands(store: MemoryStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/realms/demo"
        ended = AccessToken("ended", expires_at=time.time() - 5)
        store.save(TokenKey(url, "cli", None), Grant(ended, "cli", Secret("refresh")))
        with pytest.raises(UnreachableError, match="the token ended 5 s ago"):
            PersonSource(url, "cli", store=store, how="never", timeout=0.3).token()
    gc.collect()  # a connection that was lost on the way would be noticed now


def test_after_a_suspend_the_wall_clock_counts(
    issuer: SessionIssuer, store: MemoryStore, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(issuer, store, 300)
    source, now = make(), time.time()
    source.token()
    assert not issuer.forms
    monkeypatch.setattr("time.time", lambda: now + 8 * 3600)
    source.token()
    assert issuer.refreshes == 1


def test_a_clock_that_was_set_back_keeps_no_token_for_ever(
    issuer: SessionIssuer, store: MemoryStore, make: Make
) -> None:
    keep(issuer, store, 300)
    grant = store.load(TokenKey(issuer.url, "cli", None))
    assert grant is not None
    later = AccessToken(grant.access.reveal(), expires_at=time.time() + 86_400)
    store.save(TokenKey(issuer.url, "cli", None), Grant(later, grant.client_id, grant.refresh))
    source = make()
    assert source.token().reveal() == issuer.issued[0]
    source.token()
    assert issuer.refreshes == 1


async def test_a_login_that_was_ended_is_asked_for_again_once(
    issuer: SessionIssuer, store: MemoryStore, make: Make
) -> None:
    keep(issuer, store, -1)
    issuer.end_sessions()
    source, other = make(), make()
    tokens = await asyncio.gather(*(one.token_async() for one in (source, other) * 5))
    assert {token.reveal() for token in tokens} == {issuer.issued[0]}
    assert issuer.logins == 1


def test_a_login_that_was_ended_is_an_error_where_nobody_is_asked(
    issuer: SessionIssuer, store: MemoryStore, make: Make
) -> None:
    keep(issuer, store, -1)
    issuer.end_sessions()
    for _ in range(2):
        with pytest.raises(NotLoggedInError, match="nobody is logged in, or the login has ended") as caught:
            make(how="never", how_to_log_in="pgbearer login --profile corp").token()
        assert "Log in with: pgbearer login --profile corp" in str(caught.value)
    assert issuer.logins == 0
    asked = [fields for _, fields in issuer.forms if fields["grant_type"] == "refresh_token"]
    assert len(asked) == 1  # what is of no use is not tried again


def test_an_ended_login_gives_its_token_until_the_end(issuer: SessionIssuer, store: MemoryStore, make: Make) -> None:
    kept = keep(issuer, store, 50).access
    issuer.end_sessions()
    assert make().token() == make().token() == kept
    assert (len(issuer.forms), issuer.logins) == (1, 0)


def test_a_refresh_token_past_its_end_is_not_sent(issuer: SessionIssuer, store: MemoryStore, make: Make) -> None:
    grant = keep(issuer, store, -1)
    ended = Grant(grant.access, grant.client_id, grant.refresh, refresh_expires_at=time.time() - 1)
    store.save(TokenKey(issuer.url, "cli", None), ended)
    with pytest.raises(NotLoggedInError):
        make(how="never").token()
    assert not issuer.forms


@pytest.mark.parametrize("misbehave", ["html", "huge_body", "cut", "redirect"])
def test_an_answer_that_is_none_is_as_good_as_no_answer(
    issuer: SessionIssuer, store: MemoryStore, make: Make, misbehave: str
) -> None:
    kept = keep(issuer, store, 20).access
    getattr(issuer, misbehave)()
    assert make().token() == kept
    keep(issuer, store, -5)
    with pytest.raises(UnreachableError, match="cannot be renewed"):
        make().token()
    assert issuer.logins == 0


async def test_who_gives_up_takes_the_question_back(issuer: SessionIssuer, make: Make) -> None:
    issuer.polls.extend(["authorization_pending"] * 1_000)
    shown = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(_code: DeviceCode) -> None:
        loop.call_soon_threadsafe(shown.set)

    source = make(show=tell)
    waiting = asyncio.create_task(source.token_async())
    await shown.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    issuer.polls.clear()
    assert (await source.token_async()).reveal() == issuer.issued[0]  # it got the lock
    assert issuer.logins == 2


async def test_a_renewal_whose_caller_gave_up_is_kept(issuer: SessionIssuer, store: MemoryStore, make: Make) -> None:
    keep(issuer, store, -1)
    arrived, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold() -> None:
        loop.call_soon_threadsafe(arrived.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(60)

    issuer.before_the_answer = hold
    waiting = asyncio.create_task(make().token_async())
    await arrived.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    issuer.before_the_answer = None
    assert (await make().token_async()).reveal() == issuer.issued[0]
    assert (issuer.refreshes, issuer.reuses) == (1, 0)


async def test_a_store_that_takes_nothing_stops_no_work(
    issuer: SessionIssuer, store: MemoryStore, make: Make, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(issuer, store, -1)
    issuer.lifetime = 1  # so that each use renews

    def full(*_: object) -> None:
        raise StoreError("cannot be used: No space left on device")

    monkeypatch.setattr(store, "save", full)
    source, offset, real = make(), 0.0, time.time

    def later() -> float:
        return real() + offset

    monkeypatch.setattr("time.time", later)
    for _ in range(3):
        source.token()
        offset += 5
    assert (issuer.reuses, issuer.logins) == (0, 0)
    assert "the renewed login cannot be kept, other commands will ask you to log in: cannot be used" in said[0]
    with pytest.raises(StoreError):
        source.log_in()


@pytest.mark.parametrize("elsewhere", ["login", "logout"])
async def test_what_could_not_be_kept_makes_room_for_what_others_did_since(
    elsewhere: str, issuer: SessionIssuer, store: MemoryStore, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(issuer, store, -1)

    def full(*_: object) -> None:
        raise StoreError("cannot be used: No space left on device")

    source = make(how="never")
    with monkeypatch.context() as while_full:
        while_full.setattr(store, "save", full)
        source.token()  # renewed, and in this process alone
    if elsewhere == "login":
        grant = make().log_in()
        assert source.kept() == grant
    else:
        store.remove(source.key)
        assert source.kept() is None


def test_a_login_takes_the_place_of_another(issuer: SessionIssuer, store: MemoryStore, make: Make) -> None:
    keep(issuer, store, 200)
    source = make()
    grant = source.log_in()
    assert issuer.logins == 1
    assert source.token() == grant.access == make().token()
    with pytest.raises(NotLoggedInError):
        make(how="never").log_in()


def test_a_logout_ends_forgets_and_says_so(issuer: SessionIssuer, store: MemoryStore, make: Make) -> None:
    keep(issuer, store, 200)
    source = make(how="never")
    source.token()
    assert source.log_out()
    assert issuer.ended == ["logout", "revoke"]
    assert (source.kept(), source.held) == (None, None)
    with pytest.raises(NotLoggedInError):
        source.token()
    assert not source.log_out()


def test_a_logout_without_the_issuer_forgets_all_the_same(
    issuer: SessionIssuer, store: MemoryStore, make: Make
) -> None:
    keep(issuer, store, 200)
    issuer.down()
    with pytest.raises(UnreachableError):
        make().log_out()
    issuer.mend()
    assert make().kept() is None


def test_a_job_that_may_ask_has_nobody_to_ask(
    issuer: SessionIssuer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service of a profile that a person logs in for; some are begun with their streams closed."""
    for stdin, stderr in ((io.StringIO(), io.StringIO()), (None, None)):
        monkeypatch.setattr("sys.stdin", stdin)
        monkeypatch.setattr("sys.stderr", stderr)
        with pytest.raises(NotLoggedInError):
            make(how="auto", show=None).token()
    assert issuer.forms == []
    make(how="auto").token()  # a program that shows the code itself, e.g. in a window
    assert issuer.logins == 1


@pytest.fixture
def code_issuer(issuer_authority: Authority) -> Iterator[CodeIssuer]:
    with CodeIssuer(issuer_authority) as serving:
        yield serving


@pytest.mark.parametrize("how", ["browser", "auto"])
def test_a_login_with_a_browser_is_kept_and_renewed(
    code_issuer: CodeIssuer, store: MemoryStore, monkeypatch: pytest.MonkeyPatch, how: How
) -> None:
    """The browser is one that has logged in long ago: it comes back at once."""
    monkeypatch.setattr("pgbearer.client.sources.ask.browser_is_sensible", lambda *_, **__: True)

    def browse(address: str) -> None:
        httpx.get(code_issuer.authorize(address), trust_env=False).raise_for_status()

    source = PersonSource(code_issuer.url, how=how, browse=browse, store=store, ca_file=code_issuer.ca_file)
    token = source.token()
    kept = source.kept()
    assert kept is not None
    assert (kept.access, kept.client_id) == (token, "pgbearer-cli")
    assert code_issuer.questions[0]["client_id"] == "pgbearer-cli"
    ended = AccessToken(token.reveal(), expires_at=time.time() - 1)
    store.save(source.key, Grant(ended, kept.client_id, kept.refresh))
    again = PersonSource(code_issuer.url, how="never", store=store, ca_file=code_issuer.ca_file)
    assert again.token() != token
    assert [path for path, _ in code_issuer.forms] == ["token", "token"]


def test_no_secret_in_any_error_or_notice(
    issuer: SessionIssuer, store: MemoryStore, make: Make, said: list[str]
) -> None:
    grant = keep(issuer, store, -1)
    issuer.body(b'{"access_token": "leaked", "refresh_token": "leaked"}')
    with pytest.raises(PgbearerError) as caught:
        make().token()
    whole = repr(caught.value) + str(caught.value) + repr(caught.value.__cause__) + repr(said) + repr(grant)
    assert grant.refresh is not None
    assert not any(secret in whole for secret in ("leaked", grant.access.reveal(), grant.refresh.reveal()))
