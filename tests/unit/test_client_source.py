"""Where tokens come from, and how little of it is loaded before it is used."""

import subprocess
import sys

import pytest

from pgbearer.client import AccessToken, MemoryStore, PersonSource, StaticSource
from pgbearer.errors import UsageError
from tests.issuer import Mint


async def test_a_token_in_hand() -> None:
    source = StaticSource(AccessToken("opaque"))
    assert source.token() == await source.token_async() == AccessToken("opaque")
    assert source.issuer is None


def test_a_jwt_in_hand_names_its_issuer() -> None:
    assert StaticSource(Mint("https://sso.test/r").token()).issuer == "https://sso.test/r"


@pytest.mark.parametrize("heavy", ["psycopg", "httpx", "segno", "pgbearer.client"])
def test_importing_pgbearer_alone_is_light(heavy: str) -> None:
    code = f"import pgbearer, sys; assert {heavy!r} not in sys.modules; assert callable(pgbearer.connect)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pgbearer_has_what_it_says_and_nothing_else() -> None:
    import pgbearer

    assert all(callable(getattr(pgbearer, name)) for name in pgbearer.__all__)
    with pytest.raises(AttributeError, match="no attribute 'disconnect'"):
        pgbearer.disconnect  # noqa: B018


@pytest.mark.parametrize("issuer", ["https://[x", "nonsense", "http://sso.example.org", "https://sso.example.org/?a"])
def test_what_is_no_issuer_is_refused_before_anything_is_looked_up(issuer: str) -> None:
    with pytest.raises(UsageError, match="not an issuer"):
        PersonSource(issuer, store=MemoryStore())
