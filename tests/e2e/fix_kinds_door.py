"""A real PostgreSQL over TLS, with the module and the service, in front of the realm of every kind of token."""

import hashlib
import json
import os
import re
import shutil
import signal
import ssl
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from demo import database, service
from tests import oauth_token
from tests.e2e.fix_kinds import BOUND_CLIENT, Kinds
from tests.parts.authority import Authority, Certificate
from tests.parts.needs import COMPILER
from tests.parts.ports import free_port
from tests.parts.postgres import Server
from tests.parts.processes import wait_until
from tests.parts.tls_postgres import TLS_LIBRARIES

__all__ = ["KindsDoor", "kinds_door", "thumbprint"]

_CRITICAL = f"""\
    clients: [pgbearer-cli, {BOUND_CLIENT}, another]
    critical: {{clients: [pgbearer-cli, {BOUND_CLIENT}], certificate_bound: true}}
"""


@dataclass(frozen=True, slots=True)
class KindsDoor:
    """Where bob logs in: as ``app_readonly`` by an ordinary rule, as ``app_readwrite`` by a critical one, whose line of
    pg_hba.conf asks for a client certificate too."""

    issuer: str
    ca_file: Path
    server: Server
    audit: Path

    def login(
        self, token: str, role: str = "app_readonly", certificate: Certificate | None = None
    ) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection over verified TLS, with a client certificate if there is one.

        Raises:
            psycopg.OperationalError: refused.
        """
        shown: dict[str, str | int] = {"sslcert": "/nonexistent", "sslkey": "/nonexistent"}
        if certificate is not None:
            shown = {"sslcert": str(certificate.cert_file), "sslkey": str(certificate.key_file)}
        where: dict[str, str | int] = {"host": "localhost", "port": self.server.port, "user": role, "dbname": "appdb"}
        tls: dict[str, str | int] = {"sslmode": "verify-full", "sslrootcert": str(self.ca_file)}
        try:
            return oauth_token.connect(token, issuer=self.issuer, **where, **tls, **shown)
        except psycopg.OperationalError as error:
            error.add_note("\n".join(re.findall("OAuth login refused: .*", self.server.log)[-1:]))
            raise

    def refusal(self, token: str, role: str = "app_readonly", certificate: Certificate | None = None) -> str:
        """Log in, which must be refused: the reason, which the server's log and the audit must agree on.

        Only the first few unverified tokens have a line of their own in the audit.
        """
        before, known = len(self.server.log), len(self.records())
        with pytest.raises(psycopg.OperationalError, match="OAuth bearer authentication failed"):
            self.login(token, role, certificate).close()
        (said,) = re.findall(r"OAuth login refused: (\w+)\n", self.server.log[before:])
        assert token not in self.server.log
        token_ref = hashlib.sha256(token.encode()).hexdigest()[:12]
        records = [record for record in self.records()[known:] if record["token_ref"] == token_ref]
        assert all((record["decision"], record["reason"]) == ("deny", said) for record in records)
        return str(said)

    def records(self) -> list[dict[str, Any]]:
        """The audit's decisions."""
        lines = (json.loads(line) for line in self.audit.read_bytes().splitlines())
        return [line for line in lines if line["kind"] == "decision"]


def thumbprint(certificate: Certificate) -> bytes:
    """SHA-256 of the certificate's DER."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.cert_file.read_text())).digest()


@pytest.fixture(scope="module")
def kinds_door(need: Callable[..., None], kinds: Kinds, authority: Authority) -> Iterator[KindsDoor]:
    """While the tests of a file run."""
    need(COMPILER, TLS_LIBRARIES)
    folder = Path(tempfile.mkdtemp(prefix="pgbearer-kinds-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "postgres").mkdir()
    running = service.start(folder, kinds.issuer, authority.ca_file)
    try:
        _make_critical(folder / "pgbearer.yaml")
        os.kill(running.pid, signal.SIGHUP)
        log = folder / "log" / "service.log"
        wait_until(lambda: "reloaded" in log.read_text(), 30, "the critical rule to be in force")
        server = database.start(
            database.choose(), folder / "postgres", authority, kinds.issuer, service.login_socket(folder), free_port()
        )
        try:
            _ask_for_certificates(server, authority)
            yield KindsDoor(kinds.issuer, authority.ca_file, server, folder / "log" / "audit.jsonl")
        finally:
            server.remove()
    finally:
        running.stop()
        shutil.rmtree(folder)


def _make_critical(file: Path) -> None:
    """The demo's policy, whose writers are critical here."""
    text = file.read_text()
    for pattern, better in (
        (r"    clients: .*\n", _CRITICAL),
        (r"(name: writers .*\n(?:    .*\n)*)", r"\1    tier: critical\n"),
    ):
        text, count = re.subn(pattern, better, text)
        assert count == 1, pattern
    new = file.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o644)
    new.rename(file)


def _ask_for_certificates(server: Server, authority: Authority) -> None:
    lines = server.data / "pg_hba.conf"
    (ours,) = (line for line in lines.read_text().splitlines() if line.startswith("hostssl"))
    critical = ours.replace("all       samehost", "app_readwrite samehost") + " clientcert=verify-ca"
    lines.write_text(lines.read_text().replace(ours, f"{critical}\n{ours}"))
    with (server.data / "postgresql.conf").open("a") as settings:
        settings.write(f"ssl_ca_file = '{authority.ca_file}'\n")
    server.reload()
