"""The demo's PostgreSQL: which one, who may connect how, and what is in it."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.parts import postgres, tls_postgres
from tests.parts.authority import Authority
from tests.parts.module import module_for
from tests.parts.needs import missing
from tests.parts.postgres import Installation, Server, server_uid
from tests.parts.progress import say

__all__ = ["Database", "choose", "start"]

SCHEMA = """
CREATE TABLE notes (
    id bigint GENERATED ALWAYS AS IDENTITY,
    written_by text NOT NULL DEFAULT system_user,
    note text NOT NULL
);
CREATE ROLE app_readonly LOGIN;
CREATE ROLE app_readwrite LOGIN;
GRANT SELECT ON notes TO app_readonly;
GRANT SELECT, INSERT ON notes TO app_readwrite;
INSERT INTO notes (note) VALUES ('made by make demo');
"""


@dataclass(frozen=True, slots=True)
class Database:
    """A PostgreSQL to start, and whether it can do TLS."""

    installation: Installation
    tls: bool


def choose() -> Database:
    """The PostgreSQL of PG_CONFIG, else the one with TLS from PyPI, else the one without, for Unix sockets only."""
    if given := os.environ.get("PG_CONFIG"):
        return Database(Installation(_bindir(Path(given))), tls=_has_tls(Path(given)))
    if lacking := missing(tls_postgres.TLS_LIBRARIES):
        say(f"PostgreSQL without TLS, over its Unix socket only: this machine lacks {lacking[0]}")
        return Database(postgres.embedded(), tls=False)
    return Database(Installation(tls_postgres.installation() / "bin"), tls=True)


def start(database: Database, folder: Path, authority: Authority, issuer: str, login_socket: Path, port: int) -> Server:
    """Start PostgreSQL with the module preloaded and the table, the roles and nobody's password in it.

    Args:
        database: which one.
        folder: empty; data, socket and log go there.
        authority: signs its certificate.
        issuer: whose tokens its HBA lines ask for.
        login_socket: where the service answers.
        port: on the loopback if it has TLS; else only the name of the Unix socket.
    """
    settings = {
        "port": str(port),
        "log_min_messages": "log",
        "dynamic_library_path": f"{module_for(database.installation.pg_config)}:$libdir",
        "shared_preload_libraries": "pgbearer",
        "oauth_validator_libraries": "pgbearer",
        "pgbearer.endpoints": f"unix:{login_socket}",
        "pgbearer.service_user": str(os.geteuid()),
        "pgbearer.instance": "demo",
        "pgbearer.forbid_passwords": "app_readonly, app_readwrite",
    }
    if database.tls:
        certificate = authority.server("postgres", owner=server_uid())
        settings |= {
            "listen_addresses": "localhost",
            "ssl": "on",
            "ssl_cert_file": str(certificate.cert_file),
            "ssl_key_file": str(certificate.key_file),
        }
    me = pwd.getpwuid(os.geteuid()).pw_name
    ident = [f"break_glass {me} postgres"]
    server = Server(database.installation, settings, _hba(issuer, tls=database.tls), ident, folder=folder)
    try:
        server.start()
        server.sql("CREATE DATABASE appdb")
        server.sql(SCHEMA, "appdb")
    except BaseException:  # also an interrupt: nobody else knows yet that it runs
        server.remove()
        raise
    return server


def _hba(issuer: str, *, tls: bool) -> Sequence[str]:
    """Break-glass first, `reject` last; people by OAuth only, over TLS or, without it, over the Unix socket only."""
    oauth = f'oauth issuer="{issuer}" scope="db:demo" delegate_ident_mapping=1'
    people = [f"hostssl  all  all       samehost  {oauth}"] if tls else [f"local    all  all                 {oauth}"]
    return [
        "# break-glass: whoever runs this machine gets in, whatever happens to OAuth",
        "local    all  postgres            peer map=break_glass",
        "# people",
        *people,
        "# nothing else",
        "local    all  all                 reject",
        "host     all  all       all       reject",
    ]


def _bindir(pg_config: Path) -> Path:
    return Path(_ask(pg_config, "--bindir"))


def _has_tls(pg_config: Path) -> bool:
    configured = _ask(pg_config, "--configure")
    return "--with-openssl" in configured or "--with-ssl=openssl" in configured or "-Dssl=openssl" in configured


def _ask(pg_config: Path, what: str) -> str:
    return subprocess.run([pg_config, what], check=True, capture_output=True, text=True).stdout.strip()
