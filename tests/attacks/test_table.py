"""The tables as a whole: every reason of a token has its case, every check is missed, no two cases have one name."""

import asyncio
from collections import Counter

import pytest

from pgbearer.tokens import Denied, parse, verifier
from pgbearer.tokens.checks import CLAIM_CHECKS, HEADER_CHECKS, Check, issuer_is_exact
from pgbearer.wire import Reason
from tests.attacks import (
    test_actors,
    test_algorithms,
    test_claims,
    test_encoding,
    test_keys,
    test_kinds,
    test_kubernetes,
    test_names,
    test_post_quantum,
    test_profiles,
    test_spiffe,
)
from tests.attacks.cases import NOW, OTHER, Case, claims, denial, outcome
from tests.issuer import Mint
from tests.unit.fix_tokens import Desk

TABLES = {
    module.__name__.rpartition(".")[2]: module.CASES
    for module in (
        test_actors,
        test_algorithms,
        test_claims,
        test_encoding,
        test_keys,
        test_kinds,
        test_kubernetes,
        test_names,
        test_post_quantum,
        test_profiles,
        test_spiffe,
    )
}
CASES: tuple[Case, ...] = tuple(case for table in TABLES.values() for case in table)
_REASONS = list(Reason)
TOKEN_REASONS = _REASONS[_REASONS.index(Reason.TOKEN_MISSING) : _REASONS.index(Reason.ACTOR_NOT_ALLOWED) + 1]


def test_every_reason_of_a_token_has_a_case() -> None:
    assert not set(TOKEN_REASONS) - {case.reason for case in CASES}


def test_there_are_hundreds_and_nearly_all_are_brought_through_a_login() -> None:
    assert len(CASES) >= 400
    assert sum(case.at_login for case in CASES) >= 0.95 * len(CASES)


@pytest.mark.parametrize("table", TABLES)
def test_names_of_cases_are_unique(table: str) -> None:
    assert not [name for name, count in Counter(case.name for case in TABLES[table]).items() if count > 1]


@pytest.fixture(scope="module")
def said() -> dict[int, str]:
    """What every case is refused with, by its place in the table."""

    async def ask() -> dict[int, str]:
        return {place: str(await denial(case)) for place, case in enumerate(CASES)}

    return asyncio.run(ask())


@pytest.mark.parametrize("check", [check for check in HEADER_CHECKS if check is not issuer_is_exact] + [*CLAIM_CHECKS])
async def test_every_check_is_what_refuses_some_case(
    check: Check, said: dict[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables would notice the loss of any check: without it, some case is not refused, or not by it."""
    monkeypatch.setattr(verifier, "HEADER_CHECKS", [other for other in HEADER_CHECKS if other is not check])
    monkeypatch.setattr(verifier, "CLAIM_CHECKS", [other for other in CLAIM_CHECKS if other is not check])
    for place, case in enumerate(CASES):
        try:
            noticed = str(await denial(case)) != said[place]
        except (AssertionError, LookupError):  # later checks rely on the first two of the claims
            noticed = True
        if noticed:
            return
    pytest.fail(f"no case needs {check.__name__}")


async def test_a_verifier_refuses_tokens_of_another_issuer_itself() -> None:
    """`Verifiers` chooses by iss, so only a verifier asked directly can show that it checks."""
    mint = Mint()
    desk = Desk(mint)
    await desk.fetch()
    with pytest.raises(Denied) as caught:
        await desk.verifiers.by_name["corp"].verify(parse(mint.token(iss=OTHER)), NOW)
    assert caught.value.reason is Reason.ISSUER_UNKNOWN


async def test_the_good_token_of_these_tables_is_accepted() -> None:
    assert await outcome(claims("good", Reason.ALLOWED)) is Reason.ALLOWED
