"""The programs that connect with other drivers do what they say, with a password or as their uid: first without us."""

import os
import pwd
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.parts.drivers import DRIVERS, Driver
from tests.parts.ports import free_port
from tests.parts.postgres import Installation, Server, embedded

USED = {"sum": 42, "copied": 3, "cancelled": True, "after": 2}
CANCELLED = "canceling statement due to user request"
COPIES_NOT = {"node-postgres"}
"""Its COPY is in another package."""


@pytest.fixture(scope="module")
def installation() -> Installation:
    return embedded()


@pytest.fixture(scope="module")
def password() -> str:
    return secrets.token_hex(16)


@pytest.fixture(scope="module")
def server(installation: Installation, password: str) -> Iterator[Server]:
    """A server that believes the uid over its Unix socket, and wants a password over TCP; the role is ``app``."""
    hba = ["local all postgres trust", "local all app peer map=ours", "host all app 127.0.0.1/32 scram-sha-256"]
    ident = [f"ours {pwd.getpwuid(os.geteuid()).pw_name} app"]
    settings = {"listen_addresses": "127.0.0.1", "port": str(free_port())}
    server = Server(installation, settings, hba, ident)
    try:
        server.start()
        server.sql(f"CREATE ROLE app LOGIN PASSWORD '{password}'")
        yield server
    finally:
        server.remove()


def used(driver: Driver, method: str) -> dict[str, object]:
    who = pwd.getpwuid(os.geteuid()).pw_name if method == "peer" else "app"
    expected = {"system_user": f"{method}:{who}", "current_user": "app", **USED}
    if driver.name in COPIES_NOT:
        del expected["copied"]
    return expected


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda each: each.name)
def test_over_tcp_with_a_password_file(
    driver: Driver, need: Callable[..., None], server: Server, password: str, tmp_path: Path
) -> None:
    need(*driver.needs)
    passfile = tmp_path / "passfile"
    passfile.touch(mode=0o600)
    passfile.write_text(f"127.0.0.1:{server.port}:postgres:app:{password}\n")
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGPASSFILE": str(passfile)}
    (tmp_path / "run").mkdir()

    before = server.log.count(CANCELLED)
    said = driver.run(tmp_path / "run", {**where, "PGUSER": "app", "PGDATABASE": "postgres"})

    assert said == used(driver, "scram-sha-256")
    assert server.log.count(CANCELLED) == before + 1


@pytest.mark.parametrize("driver", [driver for driver in DRIVERS if driver.unix_sockets], ids=lambda each: each.name)
def test_over_a_unix_socket(driver: Driver, need: Callable[..., None], server: Server, tmp_path: Path) -> None:
    need(*driver.needs)
    where = {"PGHOST": str(server.folder), "PGPORT": str(server.port)}

    said = driver.run(tmp_path, {**where, "PGUSER": "app", "PGDATABASE": "postgres"})

    assert said == used(driver, "peer")
