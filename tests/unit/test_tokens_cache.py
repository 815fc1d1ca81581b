"""What a remembered verification saves, and what it never saves."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pgbearer.config.settings import Defaults, Session, Settings
from pgbearer.tokens import Denied, build_verifiers
from pgbearer.tokens.cache import MAX_AGE
from pgbearer.wire import Reason
from tests.issuer import Mint
from tests.unit.fix_tokens import Desk, Documents, settings_for

NOW = 1_800_000_000


@pytest.fixture
async def remembering(mint: Mint) -> Desk:
    desk = Desk(mint, cached=2)
    await desk.fetch()
    return desk


def token(mint: Mint, **claims: Any) -> str:
    return mint.token(**({"iat": NOW, "exp": NOW + 300} | claims))


def settings_file(mint: Mint, **changes: Any) -> Settings:
    session = Session.model_validate({"until": "token", "max": "10h"})
    issuers = {"corp": settings_for(mint, **changes)}
    return Settings(version=1, issuers=issuers, defaults=Defaults(session=session), rules=())


async def test_the_second_time_is_a_hit_with_the_same_answer(remembering: Desk, mint: Mint) -> None:
    made = token(mint)
    first = await remembering.verify(made, now=NOW)
    assert await remembering.verify(made, now=NOW) is first
    assert (remembering.verifiers.cache.hits, remembering.verifiers.cache.misses) == (1, 1)


async def test_it_is_verified_again_after_a_minute(remembering: Desk, mint: Mint) -> None:
    made = token(mint)
    first = await remembering.verify(made, now=NOW)
    remembering.clock.seconds += MAX_AGE
    assert await remembering.verify(made, now=NOW + 60) is not first


async def test_least_recently_used_goes_first(remembering: Desk, mint: Mint) -> None:
    one, two, three = (token(mint, jti=f"onrtdg:{n}") for n in range(3))
    for made in (one, two, one, three):
        await remembering.verify(made, now=NOW)
    assert len(remembering.verifiers.cache) == 2
    hits = remembering.verifiers.cache.hits
    await remembering.verify(one, now=NOW)
    assert remembering.verifiers.cache.hits == hits + 1
    await remembering.verify(two, now=NOW)
    assert remembering.verifiers.cache.hits == hits + 1


async def test_refusals_are_not_remembered(remembering: Desk, mint: Mint) -> None:
    assert await remembering.refusal(token(mint, aud="db:other"), now=NOW) is Reason.AUDIENCE_MISMATCH
    assert len(remembering.verifiers.cache) == 0


@pytest.mark.parametrize(("now", "reason"), [(NOW + 310, Reason.TOKEN_EXPIRED), (NOW - 11, Reason.TOKEN_NOT_YET_VALID)])
async def test_a_hit_asks_for_the_time(remembering: Desk, mint: Mint, now: float, reason: Reason) -> None:
    made = token(mint)
    await remembering.verify(made, now=NOW)
    assert await remembering.refusal(made, now=now) is reason


async def test_a_hit_asks_for_the_key(remembering: Desk, mint: Mint) -> None:
    made = token(mint)
    await remembering.verify(made, now=NOW)
    mint.rotate_keys()
    await remembering.fetch()
    assert await remembering.refusal(made, now=NOW) is Reason.KEY_UNKNOWN


async def test_a_hit_asks_whether_the_kid_still_means_the_same_key(remembering: Desk, mint: Mint) -> None:
    made = token(mint)
    await remembering.verify(made, now=NOW)
    mint.keys = [type(mint.key)("key-1", serial=7)]
    await remembering.fetch()
    assert await remembering.refusal(made, now=NOW) is Reason.SIGNATURE_INVALID


async def test_a_hit_asks_for_staleness(remembering: Desk, mint: Mint) -> None:
    made = token(mint)
    remembering.clock.seconds += 3590
    await remembering.verify(made, now=NOW)
    remembering.clock.seconds += 20
    assert await remembering.refusal(made, now=NOW) is Reason.KEYS_STALE


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"hba_issuer": "https://other.example"}, Reason.ISSUER_MISMATCH),
        ({"hba_scopes": ("db:admin",)}, Reason.SCOPE_MISSING),
    ],
)
async def test_a_hit_asks_for_the_hba_line(
    remembering: Desk, mint: Mint, request_: dict[str, Any], reason: Reason
) -> None:
    made = token(mint)
    await remembering.verify(made, now=NOW)
    assert await remembering.refusal(made, now=NOW, **request_) is reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"keys": {"deny": ("key-1",)}}, Reason.KEY_DENIED),
        ({"not_before": datetime(2030, 1, 1, tzinfo=UTC)}, Reason.TOKEN_REVOKED),
        ({"audience": "db:new"}, Reason.AUDIENCE_MISMATCH),
    ],
)
async def test_a_reload_forgets_what_was_accepted_under_other_terms(
    mint: Mint, changes: dict[str, Any], reason: Reason
) -> None:
    documents = Documents(mint)
    made = token(mint)
    before = build_verifiers(settings_file(mint), fetcher=lambda _ca_file: documents)
    await before.start()
    request: dict[str, Any] = {"hba_issuer": mint.url, "hba_scopes": (), "database": "appdb", "now": NOW}
    await before.verify(made, **request)
    after = build_verifiers(settings_file(mint, **changes), previous=before, fetcher=lambda _ca_file: documents)
    await after.start()
    with pytest.raises(Denied) as caught:
        await after.verify(made, **request)
    assert caught.value.reason is reason
    assert [status.fetches for status in after.status(0)] == [0]
    await before.aclose()
    await after.aclose()


async def test_closing_forgets_everything(remembering: Desk, mint: Mint) -> None:
    await remembering.verify(token(mint), now=NOW)
    await remembering.verifiers.aclose()
    assert len(remembering.verifiers.cache) == 0


async def test_nothing_of_the_token_is_kept(remembering: Desk, mint: Mint) -> None:
    made = token(mint)
    await remembering.verify(made, now=NOW)
    kept = repr(remembering.verifiers.cache._entries)
    assert not any(part in kept for part in made.split("."))
    with pytest.raises(Denied):
        await remembering.verify(made[:-8] + "AAAAAAAA", now=NOW)
