"""The hook reaches libpq through each implementation of psycopg that is here, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake_postgres import FakePostgres
from tests.parts.postgres import Installation

CONNECT = """
import sys, pgbearer
from psycopg import pq
connection = pgbearer.connect(sys.argv[1], token="opaque", issuer="https://issuer.test")
print(pq.__impl__, connection.info.parameter_status("token_ref"))
connection.close()
"""


@pytest.mark.parametrize("implementation", ["binary", "python"])
def test_the_token_gets_through(
    implementation: str, postgres: Installation, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """`binary` brings its own libpq; `python` takes the system's, here the one that belongs to the server."""
    folder = tmp_path_factory.mktemp("s")
    libraries = subprocess.run([postgres.pg_config, "--libdir"], capture_output=True, text=True, check=True).stdout
    environ = os.environ | {"PSYCOPG_IMPL": implementation, "LD_LIBRARY_PATH": libraries.strip()}
    with FakePostgres(folder / ".s.PGSQL.5432") as server:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", CONNECT, f"host={folder} user=app"],
            env=environ,
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
        )
    assert done.stdout == f"{implementation} 6d229884c126\n", done.stderr
    assert server.tokens == ["opaque"]
