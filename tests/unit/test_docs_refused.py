"""The page for who was refused explains each sentence that the client can say, and no other."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import pq

from pgbearer.client import AccessToken
from pgbearer.client.connection import libpq
from pgbearer.client.connection.failure import explained, without_token
from pgbearer.client.connection.hints import hints
from pgbearer.client.connection.hook import Offer
from pgbearer.client.connection.pinned import check_channel
from pgbearer.client.connection.plan import Plan
from pgbearer.errors import PgbearerError
from tests.issuer import ABSENT, Mint

PAGE = (Path(__file__).parents[2] / "docs" / "refused.md").read_text()
OF_TOKENS, BEFORE = (
    [phrase for row in re.findall(r"^\| (`.*?) \|", part, re.MULTILINE) for phrase in re.findall(r"`(.*?)`", row)]
    for part in PAGE.split("## Before any token was sent")
)
NOW = 1_800_000_000
MINT = Mint()
GOOD: dict[str, Any] = {"iat": NOW - 10, "exp": NOW + 290}
WRONG: list[dict[str, Any]] = [
    {"exp": NOW - 1},
    {"iat": NOW + 99},
    {"exp": NOW + 36_000},
    {"aud": "db:other"},
    {"aud": ["db:demo", "account"]},
    {"aud": ABSENT},
    {"scope": ""},
    {"typ": "ID"},
    {"typ": "Refresh"},
    {"typ": "Offline"},
    {"header": {"typ": "JWT"}},
    {"cnf": {}},
    {"iss": "https://elsewhere.test"},
]
NO_TOKEN = [
    "incompatible with oauth_issuer",
    'method requirement "oauth" failed: server requested a hashed password',
    'method requirement "oauth" failed: server did not complete authentication',
    "no pg_hba.conf entry",
    "pg_hba.conf rejects connection",
]


def of_tokens() -> Iterable[str]:
    """Every sentence about a token, but the last, which the page shows whole."""
    for claims in WRONG:
        token = AccessToken(MINT.token(**GOOD | claims))
        yield from [*hints(token, server_scope="db:demo", now=NOW, role="app", server_issuer=MINT.url)][:-1]
    early = AccessToken(MINT.token(**GOOD), expires_at=NOW + 999)
    yield from [*hints(early, server_scope=None, now=NOW)][:-1]
    offer = Offer(early, MINT.url)
    offer.handed_over = True
    yield str(explained(psycopg.OperationalError("too many"), offer, early, Plan(MINT.url, {}, None, None), now=NOW))


def before(monkeypatch: pytest.MonkeyPatch) -> Iterable[str]:
    """Every sentence about a token that was not sent, but those of a network."""
    for said in NO_TOKEN:
        yield str(without_token(psycopg.OperationalError(said)))
    with pytest.raises(PgbearerError) as unsafe:
        check_channel({"require_auth": "oauth"}, unix_socket=False, encrypted=False)
    yield str(unsafe.value)
    monkeypatch.setattr(pq, "version", lambda: 17_00_00)
    with pytest.raises(PgbearerError) as old:
        libpq.load.__wrapped__()
    yield str(old.value)


def test_what_is_said_of_a_token_is_explained_and_nothing_else() -> None:
    sentences = list(of_tokens())
    assert not [one for one in sentences if not any(phrase in one for phrase in OF_TOKENS)]
    assert not [phrase for phrase in OF_TOKENS if not any(phrase in one for one in sentences)]


def test_so_is_what_is_said_before_a_token_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = list(before(monkeypatch))
    assert not [one for one in sentences if not any(phrase in one for phrase in BEFORE)]
    assert not [phrase for phrase in BEFORE if not any(phrase in one for one in sentences)]
