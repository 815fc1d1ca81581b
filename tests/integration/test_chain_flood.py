"""Junk by the hundred through a real server: it costs little, hides nothing, and keeps nobody out who may come in."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.integration.fix_chain import Chain, whole_chain
from tests.parts.authority import Authority
from tests.parts.postgres import Installation
from tests.raw_login import RawLogin

JUNK = 400
AT_ONCE = 20


@pytest.fixture(scope="module")
def roomy(postgres: Installation, issuer_authority: Authority) -> Iterator[Chain]:
    with whole_chain(postgres, issuer_authority, settings={"max_connections": "60"}) as running:
        yield running


async def present(chain: Chain, token: str) -> bool:
    """Whether the server lets `token` in as app_readonly."""
    login = await RawLogin.begin(chain.server.folder, token, role=b"app_readonly", database=b"appdb")
    try:
        return await login.let_in()
    finally:
        login.hang_up()


async def flood(chain: Chain, tokens: Iterator[str]) -> int:
    """Present them all, `AT_ONCE` at a time; how many got in."""

    async def some() -> int:
        return sum([await present(chain, token) for token in tokens])

    return sum(await asyncio.gather(*(some() for _ in range(AT_ONCE))))


async def test_good_logins_get_in_among_junk(roomy: Chain) -> None:
    good = [roomy.issuer.token() for _ in range(10)]
    head, payload, signature = good[0].split(".")
    forged = roomy.issuer.token(header={"kid": "nobody's"})
    fetches = roomy.issuer.key_fetches
    kinds = ("junk.junk.junk", f"{head}.{payload}.{signature[:-8]}AAAAAAAA", forged, "A" * 10_000)
    junk = iter([kinds[number % len(kinds)] for number in range(JUNK)])

    got_in, *ours = await asyncio.gather(flood(roomy, junk), *(present(roomy, token) for token in good))

    assert (got_in, ours) == (0, [True] * len(good))
    assert roomy.issuer.key_fetches <= fetches + 1
    assert roomy.service.stop() == 0  # what is still counted is written
    _recorded(roomy, len(good))


def _recorded(chain: Chain, good: int) -> None:
    """Every good login has its line; the junk has few, and numbers that add up."""
    records = chain.service.decisions()
    assert len([record for record in records if record["decision"] == "allow"]) == good
    lines = [record for record in records if record["decision"] == "deny"]
    tallies = [record for record in chain.service.audit() if record["kind"] == "aggregate"]
    assert {tally["reason"] for tally in tallies} == {"token_malformed", "signature_invalid", "key_unknown"}
    assert len(lines) + sum(tally["count"] for tally in tallies) == JUNK
    assert len(lines) + len(tallies) < JUNK / 4
