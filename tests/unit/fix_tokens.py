"""Verification without a network: an issuer's documents in memory, and one login at a time."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from pgbearer.config.settings import Issuer
from pgbearer.http import Fault, FetchError, Reply
from pgbearer.tokens import Denied, KeySet, Verifier, Verifiers
from pgbearer.tokens.cache import ClaimsCache
from pgbearer.tokens.keyset import Timing
from pgbearer.verified import Verified
from pgbearer.wire import Reason
from tests.issuer import AUDIENCE, CLIENT, Mint

__all__ = ["Desk", "Documents", "FakeClock", "desk", "mint", "settings_for"]


class FakeClock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Documents:
    """What a `Mint` publishes, as a fetcher would get it from any issuer: all have the mint's keys.

    `broken` makes every fetch fail; `times` are when they began, `began` is set by each.
    """

    def __init__(self, mint: Mint) -> None:
        self.mint = mint
        self.broken = False
        self.clock = FakeClock()
        self.times: list[float] = []
        self.began = asyncio.Event()
        self.closed = False

    async def get(self, url: str) -> Reply:
        if url.endswith("/openid-configuration"):
            self.times.append(self.clock())
            self.began.set()
        if self.broken:
            raise FetchError(Fault.CONNECT, "cannot connect", url=url)
        document = self.mint.bundle() if url == self.mint.bundle_url else self.mint.jwks()
        if url.endswith("/openid-configuration"):
            named = url.partition("/.well-known/")[0]
            issuer = self.mint.url if named == self.mint.url.rstrip("/") else named
            document = {"issuer": issuer, "jwks_uri": f"{issuer}/certs"}
        return Reply(200, {"content-type": "application/json"}, json.dumps(document).encode())

    async def aclose(self) -> None:
        self.closed = True


def settings_for(mint: Mint, **changes: Any) -> Issuer:
    """Settings that accept what `mint` makes; `changes` replace some."""
    good: dict[str, Any] = {
        "profile": "keycloak",
        "issuer": mint.url,
        "audience": AUDIENCE,
        "clients": (CLIENT,),
        "identity": "corp:{sub}",
        "claims": {"acr": "string", "level": "int", "vip": "bool", "teams": "string_list"},
    }
    return Issuer(**(good | changes))


class Desk:
    """Where logins are judged: a `Mint`'s issuer called corp, and `Verifiers` for it.

    Args:
        mint: makes the tokens.
        also: more settings, for more issuers called other0, other1 ...; their keys are the mint's.
        cached: how many tokens are remembered.
        changes: of the issuer's settings.
    """

    def __init__(self, mint: Mint, *, also: Iterable[Issuer] = (), cached: int = 0, **changes: Any) -> None:
        self.mint = mint
        self.clock = FakeClock()
        self.documents = Documents(mint)
        named = {"corp": settings_for(mint, **changes)} | {f"other{n}": more for n, more in enumerate(also)}
        timing = Timing(steady=self.clock, jitter=lambda: 0.0)
        self.key_sets = {name: KeySet(name, one, self.documents, timing=timing) for name, one in named.items()}
        verifiers = [Verifier(name, one, self.key_sets[name]) for name, one in named.items()]
        self.verifiers = Verifiers(verifiers, cache=ClaimsCache(cached, self.clock))

    @property
    def keys(self) -> KeySet:
        return self.key_sets["corp"]

    async def fetch(self) -> None:
        """Fetch every issuer's keys once."""
        for keys in self.key_sets.values():
            await keys.refresh()

    async def verify(
        self,
        token: str,
        *,
        hba_issuer: str | None = None,
        hba_scopes: tuple[str, ...] = ("db:demo",),
        database: str = "appdb",
        now: float | None = None,
    ) -> Verified:
        """One login."""
        moment = float(self.mint.claims()["iat"]) if now is None else now
        return await self.verifiers.verify(
            token, hba_issuer=hba_issuer or self.mint.url, hba_scopes=hba_scopes, database=database, now=moment
        )

    async def refusal(self, token: str, **request: Any) -> Reason:
        """The reason a login is refused for; ALLOWED if it is not."""
        try:
            await self.verify(token, **request)
        except Denied as denied:
            return denied.reason
        return Reason.ALLOWED


@pytest.fixture
def mint() -> Mint:
    """Makes tokens as Keycloak does."""
    return Mint()


@pytest.fixture
async def desk(mint: Mint) -> Desk:
    """A desk with the keys fetched and nothing cached."""
    made = Desk(mint)
    await made.fetch()
    return made
