"""Real PostgreSQL servers with the module, and a lying service for them to ask."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests import oauth_token
from tests.lying_service import LyingService
from tests.parts.module import module_for
from tests.parts.needs import COMPILER, SANITIZER
from tests.parts.postgres import Installation, Server, embedded
from tests.parts.sanitize import sanitizing

__all__ = [
    "ISSUER",
    "LOCAL",
    "OAUTH",
    "TOKEN",
    "BearerServer",
    "MakeServer",
    "assert_calm",
    "bearer",
    "liar",
    "module_settings",
    "postgres",
    "postgres_server",
    "shared_server",
]

ISSUER = "https://issuer.test/realms/corp"
TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLWEtdGVzdC10b2tlbg"

LOCAL = "local all postgres trust"
"""Break-glass comes first, and needs nobody."""
OAUTH = f'local all all oauth issuer="{ISSUER}" scope="db:demo openid" delegate_ident_mapping=1'


class BearerServer(Server):
    """A server with the module, asking at `socket`."""

    @property
    def socket(self) -> Path:
        """Where its service is expected."""
        return self.folder / "login.sock"

    def login(
        self, role: str = "app", database: str = "postgres", token: str = TOKEN, **conninfo: str | int
    ) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection as `role` with `token`.

        Raises:
            psycopg.OperationalError: refused.
        """
        where = {"host": str(self.folder), "port": self.port, "user": role, "dbname": database, **conninfo}
        return oauth_token.connect(token, issuer=ISSUER, **where)

    def refusal(self, **how: Any) -> str:
        """Log in, which must be refused; returns what the module logged of it: the reason, then the detail."""
        before = len(self.log)
        with pytest.raises(psycopg.OperationalError, match="OAuth bearer authentication failed"):
            self.login(**how)
        said = re.findall(r"OAuth login refused: (\w+)\n.*DETAIL:  (.*)", self.log[before:])
        assert len(said) == 1, "one message for one refusal"
        return " ".join(said[0])


MakeServer = Callable[..., BearerServer]


@pytest.fixture(scope="session")
def postgres(need: Callable[..., None]) -> Installation:
    """PostgreSQL 18, to start servers of."""
    need(SANITIZER if sanitizing() else COMPILER)
    return embedded()


@pytest.fixture
def postgres_server(postgres: Installation) -> Iterator[MakeServer]:
    """Call it for a server with the module; all of them are gone after the test.

    Keywords: `settings` (postgresql.conf, over ours), `hba` (all lines, else break-glass and OAuth), `ident`,
    `preload` (else the backend of each login loads the module), `under` (a command to start it below).
    """
    made: list[BearerServer] = []

    def make(
        settings: Mapping[str, str] | None = None,
        hba: Sequence[str] = (LOCAL, OAUTH),
        ident: Sequence[str] = (),
        *,
        preload: bool = True,
        under: Sequence[str] = (),
    ) -> BearerServer:
        server = _make(postgres, settings or {}, hba, ident, preload=preload)
        made.append(server)
        server.start(*under)
        return server

    yield make
    try:
        for server in made:
            assert_calm(server.log)
    finally:
        for server in made:
            server.remove()


def module_settings(installation: Installation, *, preload: bool) -> dict[str, str]:
    """What makes a server load the module."""
    return {
        "dynamic_library_path": f"{module_for(installation.pg_config)}:$libdir",
        "oauth_validator_libraries": "pgbearer",
        "shared_preload_libraries": "pgbearer" if preload else "",
    }


def _make(
    installation: Installation, settings: Mapping[str, str], hba: Sequence[str], ident: Sequence[str], *, preload: bool
) -> BearerServer:
    ours = module_settings(installation, preload=preload)
    server = BearerServer(installation, ours, hba, ident)
    server.configure({**ours, "pgbearer.endpoints": f"unix:{server.socket}", **settings}, hba, ident)
    return server


@pytest.fixture(scope="module")
def shared_server(postgres: Installation) -> Iterator[BearerServer]:
    """One preloaded server for all tests of a file, with the role ``app``; tests leave it as they found it."""
    server = _make(postgres, {"pgbearer.timeout": "2s"}, (LOCAL, OAUTH), (), preload=True)
    try:
        server.start()
        server.sql("CREATE ROLE app LOGIN")
        yield server
    finally:
        server.remove()


@pytest.fixture
def liar(shared_server: BearerServer) -> Iterator[LyingService]:
    """The service of `shared_server`, which denies until told otherwise."""
    lying = LyingService(shared_server.socket)
    lying.start()
    yield lying
    lying.stop()


@pytest.fixture
def bearer(shared_server: BearerServer) -> Iterator[BearerServer]:
    """`shared_server`, of which no backend crashes during the test, and which never logs the token."""
    postmaster, before = shared_server.pid, len(shared_server.log)
    yield shared_server
    assert shared_server.alive()
    assert shared_server.pid == postmaster
    assert_calm(shared_server.log[before:])


def assert_calm(log: str) -> None:
    """No backend crashed, so the server was never restarted; and no part of the token is in its log."""
    assert "was terminated by signal" not in log
    assert "reinitializing" not in log
    assert not any(part in log for part in TOKEN.split("."))
