"""The whole way of a login with nothing played: PostgreSQL with the module, `pgbearer serve`, an issuer over TLS."""

import contextlib
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests import oauth_token
from tests.device_issuer import DeviceIssuer
from tests.integration.fix_postgres import LOCAL, BearerServer, assert_calm, module_settings
from tests.integration.fix_service import Service, write_settings
from tests.parts.authority import Authority
from tests.parts.postgres import Installation, server_uid

__all__ = ["PGBEARER", "Chain", "chain", "whole_chain"]

PGBEARER = str(Path(sys.executable).with_name("pgbearer"))
"""The installed command."""

_ROLES = "CREATE ROLE app_readonly LOGIN; CREATE ROLE app_readwrite LOGIN"


@dataclass
class Chain:
    """PostgreSQL, the service and the issuer; db-read gives ``app_readonly`` in ``appdb`` unless settings say more."""

    server: BearerServer
    service: Service
    issuer: DeviceIssuer

    def login(
        self, role: str = "app_readonly", database: str = "appdb", *, token: str | None = None, **conninfo: str
    ) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection with `token`, else with a good one.

        Raises:
            psycopg.OperationalError: refused.
        """
        where: dict[str, str | int] = {
            "host": str(self.server.folder),
            "port": self.server.port,
            "user": role,
            "dbname": database,
        }
        presented = self.issuer.token() if token is None else token
        return oauth_token.connect(presented, issuer=self.issuer.url, **{**where, **conninfo})

    def refusal(self, *args: Any, **how: Any) -> str:
        """Log in, which must be refused: the reason, which the server's log and the audit must agree on."""
        before = len(self.server.log)
        with pytest.raises(psycopg.OperationalError, match="OAuth bearer authentication failed"):
            self.login(*args, **how).close()
        (said,) = re.findall(r"OAuth login refused: (\w+)\n", self.server.log[before:])
        record = self.service.decisions()[-1]
        assert (record["decision"], record["reason"]) == ("deny", said)
        return str(said)


@contextlib.contextmanager
def whole_chain(
    installation: Installation,
    authority: Authority,
    *,
    program: Sequence[str] = (PGBEARER,),
    settings: Mapping[str, str] | None = None,
    hba: Sequence[str] = (),
    ident: Sequence[str] = (),
    make_issuer: Callable[[Authority], DeviceIssuer] = DeviceIssuer,
    **changes: Any,
) -> Iterator[Chain]:
    """Start one; all of it is gone afterwards.

    Args:
        installation: which PostgreSQL.
        authority: signs the issuer's certificate.
        program: what runs as `pgbearer`.
        settings: lines of postgresql.conf, over ours.
        hba: lines after break-glass and before ours; ``ISSUER`` in them becomes the options of an OAuth line,
            ``{issuer}`` the issuer alone.
        ident: lines of pg_ident.conf.
        make_issuer: a kind of issuer of the test's own.
        changes: sections of pgbearer.yaml, replaced.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="pgbearer-chain-", dir="/tmp"))  # PostgreSQL's uid must get in
        stack.callback(shutil.rmtree, folder)
        folder.chmod(0o755)
        issuer = stack.enter_context(make_issuer(authority))
        service = stack.enter_context(_service(folder, issuer, program, changes))
        service.await_line("serving logins")
        server = _server(installation, service, settings or {}, hba, ident)
        stack.callback(server.remove)
        server.start()
        server.sql(_ROLES)
        server.sql("CREATE DATABASE appdb")
        yield Chain(server, service, issuer)
        assert_calm(server.log)


@pytest.fixture(scope="module")
def chain(postgres: Installation, issuer_authority: Authority) -> Iterator[Chain]:
    """One for all tests of a file; they leave it as they found it."""
    with whole_chain(postgres, issuer_authority) as running:
        yield running


def _service(folder: Path, issuer: DeviceIssuer, program: Sequence[str], changes: Mapping[str, Any]) -> Service:
    gid = pwd.getpwuid(server_uid()).pw_gid if os.geteuid() == 0 else os.getgid()
    local = {"socket": str(folder / "login" / "login.sock"), "uid": server_uid(), "group": gid}
    file = folder / "pgbearer.yaml"
    written = write_settings(file, issuer, **{"servers": {"local": local}, **changes})
    command = [*program, "serve", "-c", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return Service(file, written, process, issuer)


def _server(
    installation: Installation, service: Service, settings: Mapping[str, str], hba: Sequence[str], ident: Sequence[str]
) -> BearerServer:
    options = f'oauth issuer="{service.issuer.url}" scope="db:demo" delegate_ident_mapping=1'
    before = [line.replace("ISSUER", options).replace("{issuer}", service.issuer.url) for line in hba]
    lines = [LOCAL, *before, f"local all all {options}"]
    ours = module_settings(installation, preload=True)
    if "pgbearer.endpoints" not in settings:
        ours["pgbearer.endpoints"] = f"unix:{service.login_socket}"
    return BearerServer(installation, {**ours, **settings}, lines, ident)
