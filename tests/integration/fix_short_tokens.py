"""Sessions that end with their tokens, and tokens that live for seconds: real PostgreSQL, module and service."""

import select
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pgbearer.client import AccessToken
from tests.device_issuer import DeviceIssuer
from tests.integration.fix_chain import Chain, whole_chain
from tests.parts.authority import Authority
from tests.parts.postgres import Installation
from tests.parts.processes import wait_until

__all__ = [
    "ALICE",
    "LIFE",
    "PATIENCE",
    "WHO",
    "FreshTokens",
    "at",
    "await_end_of",
    "await_word",
    "backends",
    "short_chain",
    "short_tokens",
]

LIFE = 2
"""Seconds that a token, and so a session, lasts."""
PATIENCE = 20.0
WHO = "SELECT system_user, current_user"
ALICE = ("oauth:demo:f1a6bb5e-6f40-4b4e-8b55-5f2b29a35b2e", "app_readonly")


class FreshTokens:
    """A workload's source: a new token each time, kept to be counted and looked for."""

    def __init__(self, issuer: DeviceIssuer, life: int = LIFE) -> None:
        self._issuer = issuer
        self._life = life
        self.given: list[str] = []

    @property
    def issuer(self) -> str:
        return self._issuer.url

    def token(self) -> AccessToken:
        self.given.append(self._issuer.token(exp=int(time.time()) + self._life))
        return AccessToken(self.given[-1])

    async def token_async(self) -> AccessToken:
        return self.token()


@pytest.fixture(scope="module")
def short_chain(postgres: Installation, issuer_authority: Authority) -> Iterator[Chain]:
    """Sessions end with their token."""
    with whole_chain(postgres, issuer_authority, defaults={"session": {"until": "token", "max": "10h"}}) as running:
        yield running


@pytest.fixture
def short_tokens(short_chain: Chain) -> FreshTokens:
    return FreshTokens(short_chain.issuer)


def at(chain: Chain) -> str:
    return f"host={chain.server.folder} port={chain.server.port} user=app_readonly dbname=appdb"


def await_word(*connections: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Wait until the server has said something on each; to who asks for nothing that is its farewell."""
    for connection in connections:
        assert select.select([connection.fileno()], [], [], PATIENCE)[0]


def backends(chain: Chain) -> set[int]:
    listed = chain.server.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'app_readonly'")
    return set(map(int, listed.split()))


def await_end_of(chain: Chain, pids: set[int]) -> None:
    """Wait until the module has ended these sessions."""
    wait_until(lambda: not pids & backends(chain), PATIENCE, "sessions to end with their tokens", pause=0.05)
