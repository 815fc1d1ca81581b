"""Drivers that cannot do OAuth, each with the small program of ours (tests/clients) that connects with it.

Every program reads where to connect from the environment, uses the connection, and prints one line of JSON.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.parts import golang, maven, npm
from tests.parts.cache import cached
from tests.parts.needs import JDK, MAVEN, NPM, Need, demand

__all__ = ["DRIVERS", "PROGRAMS", "Driver", "DriverError", "jdbc_driver", "node_postgres", "pgx_program", "versions"]

PROGRAMS = Path(__file__).parents[1] / "clients"
"""The folder of the programs."""
SECONDS = 120
"""Java compiles its program first, on a busy machine."""

_JDBC_VERSION = "42.7.14"
_JDBC_SHA256 = "73914527305a40cce504b0d3d90b23caf565136912d607ae8ae7c5895512332c"
_NODE_LOCK = PROGRAMS.parents[1] / "requirements" / "node"


class DriverError(Exception):
    """A program failed; the message has what it said."""


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver and its program."""

    name: str
    command: Callable[[Path], Sequence[str | Path]] = field(repr=False)
    """Gives the command line; what it has to write goes into the folder it is given, which is empty."""
    needs: tuple[Need, ...] = ()
    unix_sockets: bool = True
    """Whether it can use them."""

    def run(self, folder: Path, where: Mapping[str, str]) -> dict[str, Any]:
        """Run the program to its end, and give what it says.

        Args:
            folder: empty, for this run.
            where: PGHOST and so on. Nothing else of our environment that speaks of PostgreSQL is handed on.

        Raises:
            DriverError: it failed, or said anything else than its line.
        """
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        done = subprocess.run(
            self.command(folder), env={**ours, **where}, capture_output=True, text=True, check=False, timeout=SECONDS
        )
        if done.returncode != 0 or done.stderr:
            raise DriverError(f"{self.name}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        said: dict[str, Any] = json.loads(done.stdout)
        return said


def versions() -> Mapping[str, str]:
    """The pinned versions of those that are not of Python."""
    pgx = re.search(r"github.com/jackc/pgx/v5 v(\S+)", (PROGRAMS / "pgx" / "go.mod").read_text())
    return {"JDBC": _JDBC_VERSION, "node-postgres": npm.version(_NODE_LOCK, "pg"), "pgx": pgx[1] if pgx else "?"}


def jdbc_driver() -> Path:
    """PostgreSQL's JDBC driver, a jar in the cache.

    Raises:
        MissingError: no Maven.
        MavenError: it could not be fetched.
    """
    demand(MAVEN)

    def fetch(folder: Path) -> None:
        maven.fetch(f"org.postgresql:postgresql:{_JDBC_VERSION}:jar", _JDBC_SHA256, folder, "1 MB")

    return cached(f"jdbc-{_JDBC_VERSION}", _JDBC_SHA256, fetch) / f"postgresql-{_JDBC_VERSION}.jar"


def node_postgres() -> Path:
    """The folder ``node_modules`` with node-postgres, in the cache.

    Raises:
        MissingError: no npm.
        NpmError: it could not be fetched.
    """
    demand(NPM)
    lock = (_NODE_LOCK / "package-lock.json").read_text()
    version = npm.version(_NODE_LOCK, "pg")
    folder = cached(f"node-postgres-{version}", lock, lambda into: npm.install(_NODE_LOCK, into, "node-postgres"))
    return folder / "node_modules"


def pgx_program() -> Path:
    """The program of tests/clients/pgx, built once for each state of its source.

    Raises:
        GoError: no Go to be had, or it does not build.
    """
    module = PROGRAMS / "pgx"
    source = "".join((module / name).read_text() for name in ("go.mod", "go.sum", "main.go"))
    return cached("pgx", source, lambda into: golang.build(module, ".", into / "pgx")) / "pgx"


def _jdbc(_: Path) -> Sequence[str | Path]:
    return ["java", "-cp", jdbc_driver(), PROGRAMS / "Jdbc.java"]


def _node(folder: Path) -> Sequence[str | Path]:
    """Node looks for modules beside the program. The driver warns of a property that its own cancel() uses."""
    shutil.copy(PROGRAMS / "node.mjs", folder)
    (folder / "node_modules").symlink_to(node_postgres())
    return ["node", "--no-deprecation", folder / "node.mjs"]


DRIVERS = (
    Driver("jdbc", _jdbc, (JDK, MAVEN), unix_sockets=False),
    Driver("node-postgres", _node, (NPM,)),
    Driver("pgx", lambda _: [pgx_program()]),
    Driver("asyncpg", lambda _: [sys.executable, PROGRAMS / "asyncpg_client.py"]),
    Driver("sqlalchemy", lambda _: [sys.executable, PROGRAMS / "sqlalchemy_client.py"]),
)
