"""When keys are fetched, for whom, and how long they last, by a clock that the test turns."""

import asyncio
import logging
from itertools import pairwise

import pytest

from pgbearer.config.settings import Keys
from pgbearer.tokens import Denied, KeySet
from pgbearer.tokens.discovery import Getter
from pgbearer.tokens.keyset import LONGEST_PAUSE, REFETCH_INTERVAL, Timing
from pgbearer.wire import Reason
from tests.issuer import Mint
from tests.unit.fix_tokens import Documents, FakeClock, settings_for


class Held(Documents):
    """Documents that come only when the test lets them."""

    def __init__(self, mint: Mint) -> None:
        super().__init__(mint)
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def get(self, url: str):  # type: ignore[no-untyped-def]
        self.asked.set()
        await self.let.wait()
        return await super().get(url)


class Shelf:
    """A key set with everything a test turns."""

    def __init__(self, mint: Mint, documents: Documents | None = None, keys: Keys | None = None) -> None:
        self.mint = mint
        self.documents = documents or Documents(mint)
        self.clock = FakeClock()
        self.documents.clock = self.clock
        self.pauses: list[float] = []
        self.keys = self.made(self.documents, keys=keys)

    def made(self, fetcher: Getter, inherit: KeySet | None = None, keys: Keys | None = None) -> KeySet:
        timing = Timing(steady=self.clock, pause=self.pause, jitter=lambda: 0.5)
        settings = settings_for(self.mint, keys=keys or Keys())
        return KeySet("corp", settings, fetcher, inherit=inherit, timing=timing)

    @property
    def fetches(self) -> int:
        return self.keys.status().fetches

    async def pause(self, seconds: float) -> None:
        """Time passes only in pauses."""
        self.pauses.append(seconds)
        self.clock.seconds += seconds
        await asyncio.sleep(0)

    async def next_fetches(self, count: int) -> list[float]:
        """Seconds between the last fetch and the next ones, as the schedule makes them."""
        done = len(self.documents.times)
        while len(self.documents.times) < done + count:
            self.documents.began.clear()
            await self.documents.began.wait()
        return [later - earlier for earlier, later in pairwise(self.documents.times[done - 1 : done + count])]

    async def reason(self, kid: str = "key-1") -> Reason:
        try:
            await self.keys.key(kid, "RS256")
        except Denied as denied:
            return denied.reason
        return Reason.ALLOWED


@pytest.fixture
async def shelf(mint: Mint) -> Shelf:
    return Shelf(mint)


async def test_before_the_first_fetch_nothing_is_allowed_and_nothing_is_ready(shelf: Shelf) -> None:
    assert await shelf.reason() is Reason.KEYS_UNAVAILABLE
    status = shelf.keys.status()
    assert (status.ready, status.age, status.generation) == (False, None, 0)


async def test_a_fetch_makes_it_ready(shelf: Shelf) -> None:
    await shelf.keys.refresh()
    assert await shelf.reason() is Reason.ALLOWED
    status = shelf.keys.status()
    assert (status.ready, status.keys, status.age, status.last_error) == (True, ("key-1",), 0, None)


async def test_known_keys_cost_no_fetch(shelf: Shelf) -> None:
    await shelf.keys.refresh()
    for _ in range(50):
        await shelf.reason()
    assert shelf.fetches == 1


async def test_a_new_key_is_found_at_once(shelf: Shelf, mint: Mint) -> None:
    await shelf.keys.refresh()
    mint.rotate_keys(keep=True)
    assert await shelf.reason("key-2") is Reason.ALLOWED
    assert await shelf.reason("key-1") is Reason.ALLOWED
    assert shelf.fetches == 2


async def test_unknown_kids_cause_one_fetch_in_an_interval(shelf: Shelf) -> None:
    await shelf.keys.refresh()
    for number in range(50):
        assert await shelf.reason(f"junk-{number}") is Reason.KEY_UNKNOWN
    assert shelf.fetches == 2
    shelf.clock.seconds += REFETCH_INTERVAL
    assert await shelf.reason("junk") is Reason.KEY_UNKNOWN
    assert shelf.fetches == 3


async def test_many_logins_at_once_share_one_fetch(mint: Mint) -> None:
    documents = Held(mint)
    shelf = Shelf(mint, documents)
    documents.let.set()
    await shelf.keys.refresh()
    documents.let.clear()
    mint.rotate_keys()
    logins = [asyncio.create_task(shelf.reason("key-2")) for _ in range(50)]
    await documents.asked.wait()
    documents.let.set()
    assert set(await asyncio.gather(*logins)) == {Reason.ALLOWED}
    assert shelf.fetches == 2


async def test_a_login_that_goes_away_leaves_the_fetch_to_the_others(mint: Mint) -> None:
    documents = Held(mint)
    shelf = Shelf(mint, documents)
    first, second = (asyncio.create_task(shelf.keys.refresh()) for _ in range(2))
    await documents.asked.wait()
    first.cancel()
    documents.let.set()
    await second
    assert await shelf.reason() is Reason.ALLOWED


async def test_a_withdrawn_key_is_gone_with_the_next_fetch(shelf: Shelf, mint: Mint) -> None:
    await shelf.keys.refresh()
    mint.rotate_keys()
    await shelf.keys.refresh()
    assert await shelf.reason("key-1") is Reason.KEY_UNKNOWN
    assert shelf.keys.status().generation == 2


async def test_an_unchanged_key_stays_the_same_object(shelf: Shelf, mint: Mint) -> None:
    await shelf.keys.refresh()
    before = shelf.keys.find("key-1")
    mint.rotate_keys(keep=True)
    await shelf.keys.refresh()
    assert shelf.keys.find("key-1") is before


async def test_another_key_under_the_same_kid_is_another_object(shelf: Shelf, mint: Mint) -> None:
    await shelf.keys.refresh()
    before = shelf.keys.find("key-1")
    mint.keys = [type(mint.key)("key-1", serial=2)]
    await shelf.keys.refresh()
    assert shelf.keys.find("key-1") is not before


async def test_an_outage_stops_no_login_until_max_stale_and_every_login_after_it(shelf: Shelf) -> None:
    await shelf.keys.refresh()
    shelf.documents.broken = True
    shelf.clock.seconds += 3600
    await shelf.keys.refresh()
    assert await shelf.reason() is Reason.ALLOWED
    assert shelf.keys.status().last_error is not None
    shelf.clock.seconds += 0.001
    assert await shelf.reason() is Reason.KEYS_STALE
    assert (shelf.keys.status().stale, shelf.keys.status().ready) == (True, False)


async def test_after_an_outage_logins_go_on_with_the_first_good_fetch(shelf: Shelf) -> None:
    await shelf.keys.refresh()
    shelf.clock.seconds += 10_000
    assert await shelf.reason() is Reason.KEYS_STALE
    await shelf.keys.refresh()
    assert await shelf.reason() is Reason.ALLOWED


async def test_failed_fetches_do_not_make_keys_younger(shelf: Shelf) -> None:
    await shelf.keys.refresh()
    shelf.documents.broken = True
    shelf.clock.seconds += 100
    await shelf.keys.refresh()
    assert shelf.keys.status().age == 100
    assert shelf.keys.status().failures == 1


async def test_denied_kids_are_refused_before_anything_else(mint: Mint) -> None:
    shelf = Shelf(mint, keys=Keys(deny=("key-1",)))
    assert await shelf.reason() is Reason.KEY_DENIED
    await shelf.keys.refresh()
    assert await shelf.reason() is Reason.KEY_DENIED
    assert (shelf.keys.status().keys, shelf.keys.status().denied) == ((), ("key-1",))
    assert not shelf.keys.status().ready


async def test_an_empty_key_set_is_taken_at_its_word(shelf: Shelf, mint: Mint) -> None:
    await shelf.keys.refresh()
    mint.keys = []
    await shelf.keys.refresh()
    assert await shelf.reason() is Reason.KEY_UNKNOWN
    assert not shelf.keys.status().ready


async def test_it_refreshes_ahead_of_time(shelf: Shelf) -> None:
    await shelf.keys.start()
    assert await shelf.next_fetches(3) == pytest.approx([270] * 3)  # jitter 0.5 of the fifth that is left to chance
    await shelf.keys.aclose()


async def test_it_retries_sooner_after_a_failure_then_ever_less_often(shelf: Shelf) -> None:
    shelf.documents.broken = True
    await shelf.keys.start()
    assert await shelf.next_fetches(8) == pytest.approx([0.9, 1.8, 3.6, 7.2, 14.4, 27, 27, 27])
    shelf.documents.broken = False
    assert await shelf.next_fetches(2) == pytest.approx([27, 270])
    await shelf.keys.aclose()


async def test_it_wakes_often_enough_to_notice_that_the_machine_slept(shelf: Shelf) -> None:
    await shelf.keys.start()
    await shelf.next_fetches(1)
    assert max(shelf.pauses) <= LONGEST_PAUSE
    await shelf.keys.aclose()


async def test_inherited_keys_are_refreshed_when_the_first_owner_would_have(shelf: Shelf, mint: Mint) -> None:
    await shelf.keys.refresh()
    shelf.clock.seconds += 200
    heir = shelf.made(shelf.documents, inherit=shelf.keys)
    await heir.start()
    assert await shelf.next_fetches(1) == pytest.approx([270])
    await heir.aclose()


async def test_closing_ends_the_fetch_under_way(mint: Mint) -> None:
    documents = Held(mint)
    shelf = Shelf(mint, documents)
    waiting = asyncio.create_task(shelf.keys.refresh())
    await documents.asked.wait()
    await shelf.keys.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert documents.closed


async def test_a_reload_takes_over_what_is_known_of_the_same_source(shelf: Shelf, mint: Mint) -> None:
    await shelf.keys.refresh()
    heir = shelf.made(Documents(mint), inherit=shelf.keys, keys=Keys(deny=("key-9",)))
    await heir.start()
    assert heir.status().ready
    assert heir.status().fetches == 0
    await heir.aclose()


async def test_a_reload_takes_over_nothing_of_another_source(shelf: Shelf) -> None:
    await shelf.keys.refresh()
    settings = settings_for(Mint("https://other.example"))
    heir = KeySet("corp", settings, shelf.documents, inherit=shelf.keys)
    assert not heir.status().ready


async def test_a_bug_in_fetching_is_told_and_ends_with_its_cause(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the keys would go stale, and all logins of the issuer be refused until a restart."""
    await shelf.keys.start()
    with monkeypatch.context() as patch:
        patch.setattr(shelf.mint, "jwks", None)  # no fault of an issuer's raises a TypeError
        await shelf.next_fetches(3)
        assert shelf.keys.status().last_error == "an unforeseen error, TypeError"
        assert "fetching the keys of issuer corp failed: TypeError" in caplog.text
    await shelf.next_fetches(1)
    await shelf.keys.refresh()
    assert shelf.keys.status().last_error is None
    await shelf.keys.aclose()


async def test_a_bug_at_the_start_does_not_stop_fetching(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shelf.mint, "jwks", None)
        await shelf.keys.start()
        assert await shelf.reason() is Reason.KEYS_UNAVAILABLE
    await shelf.next_fetches(1)
    await shelf.keys.refresh()
    assert await shelf.reason() is Reason.ALLOWED
    await shelf.keys.aclose()


async def test_a_bug_in_the_schedule_is_told(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    await shelf.keys.start()
    shelf.pauses = None  # type: ignore[assignment]
    task = shelf.keys._keeper
    assert task is not None
    await asyncio.wait({task})
    assert shelf.keys.status().last_error == "refreshing stopped: AttributeError"
    assert "no longer refreshed" in caplog.text
    await shelf.keys.aclose()


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "pgbearer")
    return caplog


def publish(monkeypatch: pytest.MonkeyPatch, mint: Mint, *more: dict[str, object]) -> None:
    """Beside the mint's own keys."""
    published = [*mint.jwks()["keys"], *more]
    monkeypatch.setattr(mint, "jwks", lambda: {"keys": published})


async def test_a_key_that_is_passed_over_is_named_with_why(
    shelf: Shelf, mint: Mint, monkeypatch: pytest.MonkeyPatch, told: pytest.LogCaptureFixture
) -> None:
    """Once, not at every fetch; and no kid steers a terminal or forges a line."""
    publish(monkeypatch, mint, {"kid": "enc\n\x1b[2J\u202e", "use": "enc"}, {"kid": "odd", "use": "sig", "kty": "oct"})
    for _ in range(2):
        await shelf.keys.refresh()
    (message,) = told.messages
    assert message == (
        "keys of issuer corp: 1 to verify with, 2 passed over: "
        r"kid 'enc\n\x1b[2J\u202e' (not marked use=sig), kid 'odd' (its kty is none of RSA, EC, OKP and AKP)"
    )


async def test_an_issuer_without_a_key_to_verify_with_is_warned_of(
    shelf: Shelf, mint: Mint, monkeypatch: pytest.MonkeyPatch, told: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        mint, "jwks", lambda: {"keys": [{"kid": f"k{number:02}", "use": "enc"} for number in range(20)]}
    )
    await shelf.keys.refresh()
    (record,) = told.records
    assert record.levelno == logging.WARNING
    assert record.message.startswith("keys of issuer corp: 0 to verify with, 20 passed over: kid 'k00' ")
    assert record.message.endswith("kid 'k07' (not marked use=sig), 12 more")
