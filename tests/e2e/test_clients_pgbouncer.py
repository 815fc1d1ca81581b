"""PgBouncer with the proxy as its server, under a uid of its own, with the settings that the page shows."""

import os
import pwd
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from pgbearer.client.proxy import Listen
from tests.e2e.fix_proxy import Gate, open_gate
from tests.e2e.fix_stack import LoginStack
from tests.parts import pgbouncer
from tests.parts.needs import DEBOOTSTRAP, ROOT
from tests.parts.pgbouncer import PgBouncer

PAGE = Path(__file__).parents[2] / "docs" / "use-with" / "pgbouncer.md"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """What PgBouncer sees of this machine: the proxy's folder, and its own."""
    with tempfile.TemporaryDirectory(prefix="pgbearer-pool-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def gate(need: Callable[..., None], stack: LoginStack, folder: Path) -> Iterator[Gate]:
    """A proxy that lets in PgBouncer's uid, and nobody else."""
    need(ROOT, DEBOOTSTRAP)

    def places(_: Path) -> Sequence[Listen]:
        return [Listen(folder / "proxy", shared=True)]

    with open_gate(stack, places, admits=pwd.getpwnam(pgbouncer.USER).pw_uid) as gate:
        yield gate


@pytest.fixture(scope="module")
def pool(gate: Gate, folder: Path) -> Iterator[PgBouncer]:
    (settings,) = re.findall(r"^```ini\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    settings = settings.replace("/run/pgbearer/appdb", f"{pgbouncer.INSIDE}/proxy")
    running = pgbouncer.start(folder, settings.replace("/run/pgbouncer", pgbouncer.INSIDE))
    yield running
    running.stop()


def connect(pool: PgBouncer) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(host=str(pool.folder), port=pool.port, dbname="appdb", user="any", prepare_threshold=None)


def test_many_clients_share_few_logins(pool: PgBouncer, gate: Gate) -> None:
    before = gate.logins
    backends = set()
    for _ in range(20):
        with connect(pool) as connection:
            row = connection.execute("SELECT pg_backend_pid(), current_user, system_user").fetchone()
            assert row is not None
            backends.add(row[0])
            assert row[1] == "app_readonly"
            assert str(row[2]).startswith("oauth:demo:")
    assert len(backends) == 1
    assert gate.logins == before + 1
    assert gate.asked == 1


def test_the_pool_replaces_what_the_server_has_ended(pool: PgBouncer, gate: Gate, stack: LoginStack) -> None:
    with connect(pool) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    assert stack.server.sql(f"SELECT pg_terminate_backend({row[0]}, 10000)") == "t"

    with connect(pool) as connection:
        again = connection.execute("SELECT pg_backend_pid()").fetchone()

    assert again != row
    assert gate.asked == 1


def test_a_cancel_goes_through_both(pool: PgBouncer) -> None:
    with connect(pool) as connection:
        connection.add_notice_handler(lambda _: connection.cancel_safe())
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("DO $$ BEGIN RAISE NOTICE 'it runs'; PERFORM pg_sleep(600); END $$")


def test_another_uid_gets_no_login(gate: Gate, folder: Path) -> None:
    assert os.geteuid() != pwd.getpwnam(pgbouncer.USER).pw_uid
    before = gate.logins
    with pytest.raises(psycopg.OperationalError, match=r"FATAL"):
        psycopg.connect(host=str(folder / "proxy"), dbname="appdb", user="app_readonly")
    assert gate.logins == before
