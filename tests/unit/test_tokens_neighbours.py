"""Issuers side by side: behind whose HBA lines, until when, and whose identity. What is refused: tests/attacks."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from pgbearer.config.settings import Issuer
from pgbearer.tokens import Denied
from pgbearer.wire import Reason
from tests.issuer import ABSENT, Mint
from tests.unit.fix_tokens import Desk, settings_for
from tests.workload_tokens import DOMAIN, svid, trust_domain

NOW = 1_800_000_000
CORP = "https://other.example/realms/corp"
WELL_KNOWN = "https://other.example/.well-known/oauth-authorization-server/realms/corp"


async def judged(mint: Mint, also: Issuer, *, cached: int = 0, settings: dict[str, Any], **request: Any) -> Reason:
    desk = Desk(mint, also=[also], cached=cached, **settings)
    await desk.fetch()
    return await desk.refusal(mint.token(iat=NOW, exp=NOW + 300), **{"now": float(NOW), **request})


@pytest.mark.parametrize("hba_issuer", [CORP, f"{CORP}/.well-known/openid-configuration", WELL_KNOWN])
async def test_opened_behind_the_issuer_of_the_hba_line_however_that_names_it(mint: Mint, hba_issuer: str) -> None:
    opened = {"behind": {"other0": ("payroll", "appdb")}}
    corp = settings_for(mint, issuer=CORP)
    assert await judged(mint, corp, settings=opened, hba_issuer=hba_issuer) is Reason.ALLOWED
    assert await judged(mint, corp, settings={}, hba_issuer=hba_issuer) is Reason.ISSUER_MISMATCH


async def test_an_opening_is_asked_for_at_each_login_also_of_a_remembered_token(mint: Mint) -> None:
    desk = Desk(mint, also=[settings_for(mint, issuer=CORP)], cached=10, behind={"other0": ("payroll",)})
    await desk.fetch()
    token = mint.token(iat=NOW, exp=NOW + 300)
    asked: dict[str, Any] = {"now": float(NOW), "hba_issuer": CORP}
    assert await desk.refusal(token, **asked, database="payroll") is Reason.ALLOWED
    assert len(desk.verifiers.cache) == 1
    assert await desk.refusal(token, **asked, database="appdb") is Reason.ISSUER_MISMATCH


async def test_the_refusal_says_what_is_not_opened(mint: Mint) -> None:
    desk = Desk(mint, also=[settings_for(mint, issuer=CORP)], behind={"other0": ("payroll",)})
    await desk.fetch()
    with pytest.raises(Denied, match="'corp' is not opened behind 'other0' to 'appdb'"):
        await desk.verify(mint.token(iat=NOW, exp=NOW + 300), now=float(NOW), hba_issuer=CORP)


async def test_scopes_are_implied_for_tokens_without_and_no_others(mint: Mint) -> None:
    desk = Desk(mint, implied_scopes=("db:demo",))
    await desk.fetch()
    token = mint.token(iat=NOW, exp=NOW + 300, scope=ABSENT)
    assert await desk.refusal(token, now=float(NOW), hba_scopes=("db:demo",)) is Reason.ALLOWED
    assert await desk.refusal(token, now=float(NOW), hba_scopes=("db:demo db:admin",)) is Reason.SCOPE_MISSING
    assert (await desk.verify(token, now=float(NOW), hba_scopes=())).scopes == frozenset()


def moment(day: str) -> float:
    return datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (moment("2027-03-31"), Reason.ALLOWED),
        (moment("2027-04-01") - 1, Reason.ALLOWED),
        (moment("2027-04-01"), Reason.ISSUER_REPLACED),
        (moment("2028-01-01"), Reason.ISSUER_REPLACED),
    ],
)
async def test_tokens_of_a_replaced_issuer_are_accepted_to_the_end_of_the_day(
    mint: Mint, now: float, reason: Reason
) -> None:
    new = settings_for(mint, issuer=CORP, replaces="corp", until=date(2027, 3, 31))
    desk = Desk(mint, also=[new], cached=10)
    await desk.fetch()
    token = mint.token(iat=int(now) - 10, exp=int(now) + 200)
    assert await desk.refusal(token, now=now) is reason
    assert await desk.refusal(mint.token(iss=CORP, iat=int(now), exp=int(now) + 9), now=now, hba_issuer=CORP) is (
        Reason.ALLOWED
    )


async def test_a_remembered_token_of_a_replaced_issuer_does_not_outlive_the_day(mint: Mint) -> None:
    midnight = moment("2027-04-01")
    desk = Desk(mint, also=[settings_for(mint, issuer=CORP, replaces="corp", until=date(2027, 3, 31))], cached=10)
    await desk.fetch()
    token = mint.token(iat=int(midnight) - 20, exp=int(midnight) + 200)
    assert await desk.refusal(token, now=midnight - 5) is Reason.ALLOWED
    assert await desk.refusal(token, now=midnight) is Reason.ISSUER_REPLACED
    assert desk.verifiers.cache.hits == 1


async def test_who_moves_with_a_subject_of_the_same_uuid_stays_the_same(mint: Mint) -> None:
    desk = Desk(mint, also=[settings_for(mint, issuer=CORP, replaces="corp", until=date(2999, 1, 1))])
    await desk.fetch()
    times: dict[str, Any] = {"iat": NOW, "exp": NOW + 300}
    old = await desk.verify(mint.token(**times), now=float(NOW))
    new = await desk.verify(mint.token(iss=CORP, **times), now=float(NOW), hba_issuer=CORP)
    assert (old.issuer, new.issuer) == ("corp", "other0")
    assert old.identity == new.identity


@pytest.mark.parametrize(
    "subject", ["alice", "1001", "F1A6BB5E-6F40-4B4E-8B55-5F2B29A35B2E", "f1a6bb5e6f404b4e8b555f2b29a35b2e"]
)
@pytest.mark.parametrize("iss", ["https://sso.example.com/realms/demo", CORP])
async def test_two_people_whose_subjects_are_no_uuids_are_never_taken_for_one(
    mint: Mint, subject: str, iss: str
) -> None:
    desk = Desk(mint, also=[settings_for(mint, issuer=CORP, replaces="corp", until=date(2999, 1, 1))])
    await desk.fetch()
    token = mint.token(iss=iss, sub=subject, iat=NOW, exp=NOW + 300)
    assert await desk.refusal(token, now=float(NOW), hba_issuer=iss) is Reason.SUBJECT_INVALID


@pytest.mark.parametrize("iss", ["https://sso.example.com/realms/demo", CORP])
async def test_the_ends_of_a_line_of_moves_share_identities_though_its_middle_does_not(mint: Mint, iss: str) -> None:
    between = settings_for(
        mint, issuer="https://b.example", replaces="corp", until=date(2999, 1, 1), identity="b:{sub}"
    )
    last = settings_for(mint, issuer=CORP, replaces="other0", until=date(2999, 1, 1))
    desk = Desk(mint, also=[between, last])
    await desk.fetch()
    token = mint.token(iss=iss, sub="alice", iat=NOW, exp=NOW + 300)
    assert await desk.refusal(token, now=float(NOW), hba_issuer=iss) is Reason.SUBJECT_INVALID


async def test_a_workload_of_a_trust_domain_that_moves_keeps_its_spiffe_id_and_that_is_no_uuid(mint: Mint) -> None:
    opened = {**trust_domain(mint), "spiffe": {"bundle_url": mint.bundle_url}, "behind": {"corp": ("appdb",)}}
    moved = {**opened, "issuer": "spiffe://new.example", "replaces": "other0", "until": date(2999, 1, 1)}
    desk = Desk(mint, also=[settings_for(mint, **opened), settings_for(mint, **moved)])
    await desk.fetch()
    for domain in (DOMAIN, "spiffe://new.example"):
        token = svid(mint, NOW, iss=ABSENT, sub=f"{domain}/ns/shop")
        assert await desk.refusal(token, now=float(NOW)) is Reason.ALLOWED


async def test_any_subject_will_do_where_identities_are_not_shared(mint: Mint) -> None:
    new = settings_for(mint, issuer=CORP, replaces="corp", until=date(2999, 1, 1), identity="new:{sub}")
    desk = Desk(mint, also=[new])
    await desk.fetch()
    token = mint.token(sub="alice", iat=NOW, exp=NOW + 300)
    assert (await desk.verify(token, now=float(NOW))).identity == "corp:alice"
