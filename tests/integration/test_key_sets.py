"""Every fault of an issuer as a key set meets it over TLS: denials with their reason, and logins again afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pgbearer.config.settings import Issuer as IssuerSettings
from pgbearer.http import Fetcher
from pgbearer.tokens import Denied, KeySet, Verifier, Verifiers
from pgbearer.tokens.keyset import Timing
from pgbearer.wire import Reason
from tests.documents import FAULTS, NEVER
from tests.issuer import AUDIENCE, CLIENT, Issuer
from tests.parts.authority import Authority

PATIENCE = 30.0
"""Seconds that an issuer has which is to answer: this machine may have other things to do."""
SOON = 1.0
"""Seconds that one has which is not to."""


class Front:
    """Verifiers in front of the programmable issuer, with a clock the test turns and fetches it asks for."""

    def __init__(self, issuer: Issuer, *, ca_file: Path | None = None, **changes: Any) -> None:
        self.issuer = issuer
        self.now = 1000.0
        settings = IssuerSettings(
            **{
                "profile": "keycloak",
                "issuer": issuer.url,
                "audience": AUDIENCE,
                "clients": (CLIENT,),
                "identity": "corp:{sub}",
            }
            | changes
        )
        self._fetcher = Fetcher(ca_file or issuer.ca_file, PATIENCE, 256 * 1024)
        self.keys = KeySet("corp", settings, self._fetcher, timing=Timing(steady=lambda: self.now))
        self.verifiers = Verifiers([Verifier("corp", settings, self.keys)])

    def wait_for_the_issuer(self, seconds: float) -> None:
        """So long from the next fetch on."""
        self._fetcher._timeout = seconds

    async def login(self, token: str | None = None) -> Reason:
        try:
            await self.verifiers.verify(
                token or self.issuer.token(),
                hba_issuer=self.issuer.url,
                hba_scopes=("db:demo",),
                database="appdb",
                now=time.time(),
            )
        except Denied as denied:
            return denied.reason
        return Reason.ALLOWED

    @property
    def error(self) -> str:
        return self.keys.status().last_error or ""


@pytest.fixture
async def front(issuer: Issuer) -> AsyncIterator[Front]:
    made = Front(issuer)
    yield made
    await made.keys.aclose()


@pytest.mark.parametrize(("fault", "error"), FAULTS.values(), ids=FAULTS.keys())
async def test_fault_at_the_start_denies_and_mended_allows(
    front: Front, issuer: Issuer, fault: Callable[[Issuer], None], error: str
) -> None:
    fault(issuer)
    front.wait_for_the_issuer(SOON if error == NEVER else PATIENCE)
    await front.keys.refresh()
    assert await front.login() is Reason.KEYS_UNAVAILABLE
    assert any(part in front.error for part in error.split("|"))
    assert not front.keys.status().ready
    issuer.mend()
    front.wait_for_the_issuer(PATIENCE)
    await front.keys.refresh()
    assert await front.login() is Reason.ALLOWED
    assert front.keys.status().ready


@pytest.mark.parametrize(("fault", "error"), FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.story("keycloak-down", "refused", on="service")
async def test_fault_later_stops_logins_only_when_the_keys_are_stale(
    front: Front, issuer: Issuer, fault: Callable[[Issuer], None], error: str
) -> None:
    await front.keys.refresh()
    fault(issuer)
    front.wait_for_the_issuer(SOON if error == NEVER else PATIENCE)
    await front.keys.refresh()
    assert front.keys.status().failures == 1
    assert await front.login() is Reason.ALLOWED
    front.now += 3601
    assert await front.login() is Reason.KEYS_STALE
    issuer.mend()
    front.wait_for_the_issuer(PATIENCE)
    await front.keys.refresh()
    assert await front.login() is Reason.ALLOWED


async def test_started_while_the_issuer_is_down_it_finds_it_once_it_is_up(front: Front, issuer: Issuer) -> None:
    issuer.down()
    await front.verifiers.start()
    assert await front.login() is Reason.KEYS_UNAVAILABLE
    issuer.mend()
    async with asyncio.timeout(20):
        while not front.keys.status().ready:
            await front.keys.refresh()
    assert await front.login() is Reason.ALLOWED


@pytest.mark.story("keycloak-keys", "gone", on="service")
async def test_rotated_keys_are_found_by_the_first_login(front: Front, issuer: Issuer) -> None:
    await front.keys.refresh()
    old = issuer.token()
    issuer.rotate_keys()
    assert await front.login() is Reason.ALLOWED
    assert await front.login(old) is Reason.KEY_UNKNOWN
    assert issuer.key_fetches == 2


async def test_fifty_logins_with_a_new_key_fetch_once(front: Front, issuer: Issuer) -> None:
    await front.keys.refresh()
    issuer.rotate_keys()
    assert set(await asyncio.gather(*(front.login() for _ in range(50)))) == {Reason.ALLOWED}
    assert issuer.key_fetches == 2


async def test_a_flood_of_unknown_kids_fetches_once(front: Front, issuer: Issuer) -> None:
    await front.keys.refresh()
    junk = [issuer.token(header={"kid": f"junk-{number}"}) for number in range(50)]
    assert {await front.login(token) for token in junk} == {Reason.KEY_UNKNOWN}
    assert issuer.key_fetches == 2


async def test_unknown_kid_at_a_hanging_issuer_is_denied_and_known_ones_do_not_wait(
    front: Front, issuer: Issuer
) -> None:
    await front.keys.refresh()
    known = issuer.token()
    issuer.hang()
    front.wait_for_the_issuer(SOON)
    waiting = asyncio.create_task(front.login(issuer.token(header={"kid": "new"})))
    await asyncio.sleep(0)
    assert await front.login(known) is Reason.ALLOWED
    assert not waiting.done()
    assert await waiting is Reason.KEY_UNKNOWN


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (Issuer.keys_without_use, "use=sig"),
        (Issuer.weak_keys, "1024 bits"),
        (lambda issuer: issuer.change_keys(use="enc"), "use=sig"),
        (lambda issuer: issuer.change_keys(alg="ES256"), "alg does not fit"),
        (lambda issuer: issuer.change_keys(n="AQAB"), ""),
    ],
)
async def test_unsuitable_keys_are_published_in_vain(
    front: Front, issuer: Issuer, change: Callable[[Issuer], None], why: str
) -> None:
    change(issuer)
    await front.keys.refresh()
    assert await front.login() is Reason.KEY_UNSUITABLE
    status = front.keys.status()
    assert not status.ready
    assert why in status.unusable[0][1]


async def test_an_empty_key_set_withdraws_all_keys(front: Front, issuer: Issuer) -> None:
    await front.keys.refresh()
    issuer.no_keys()
    await front.keys.refresh()
    assert await front.login() is Reason.KEY_UNKNOWN


async def test_an_issuer_whose_certificate_is_of_another_ca_is_not_believed(issuer: Issuer, tmp_path: Path) -> None:
    front = Front(issuer, ca_file=Authority(tmp_path).ca_file)
    await front.keys.refresh()
    assert await front.login() is Reason.KEYS_UNAVAILABLE
    assert "TLS failed" in front.error
    await front.keys.aclose()


async def test_keys_elsewhere_are_fetched_if_named(issuer: Issuer) -> None:
    elsewhere = issuer.jwks_uri.replace("127.0.0.1", "localhost")
    issuer.keys_elsewhere(elsewhere)
    front = Front(issuer, jwks_uri=elsewhere)
    await front.keys.refresh()
    assert await front.login() is Reason.ALLOWED
    await front.keys.aclose()


async def test_keys_elsewhere_than_named_are_not_fetched(issuer: Issuer) -> None:
    front = Front(issuer, jwks_uri="https://keys.example/jwks")
    await front.keys.refresh()
    assert "not the one in pgbearer.yaml" in front.error
    assert issuer.key_fetches == 0
    await front.keys.aclose()


@pytest.mark.parametrize(("profile", "reason"), [("rfc9068", Reason.ALLOWED), ("keycloak", Reason.KEYS_UNAVAILABLE)])
async def test_oauth_metadata_serves_an_issuer_without_openid(issuer: Issuer, profile: str, reason: Reason) -> None:
    issuer.without_openid_metadata()
    front = Front(issuer, profile=profile)
    await front.keys.refresh()
    assert await front.login(issuer.token(client_id=CLIENT)) is reason
    await front.keys.aclose()
