"""A login that no quantum computer is known to read or forge, as far as it is ours: TLS with X25519MLKEM768, ML-DSA.

Needs OpenSSL 3.5, which few systems have: PostgreSQL, psql, openssl and a Python run in a Debian root (3.6).
"""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from demo import service
from demo.policy import Addresses
from tests.e2e.fix_debian_server import (
    INSIDE,
    USER,
    DebianServer,
    compile_module,
    make_database,
    start_server,
)
from tests.issuer import AUDIENCE, CLIENT, Issuer
from tests.parts.authority import Authority
from tests.parts.debian import COMPILE_18, DebianRoot
from tests.parts.needs import DEBOOTSTRAP, ROOT
from tests.parts.ports import free_port
from tests.parts.processes import Running, launch, wait_until

__all__ = ["GROUP", "PostQuantum", "post_quantum"]

GROUP: Final = "X25519MLKEM768"
"""RFC 10024: X25519 and ML-KEM-768 (FIPS 203) together; whoever would read along must break both."""

_PURE: Final = ("httpx", "httpcore", "h11", "anyio", "certifi", "idna", "sniffio")
"""What our fetcher stands on, none of it compiled: the Python in the root runs it as it is."""


@dataclass(frozen=True, slots=True)
class PostQuantum:
    """A PostgreSQL that agrees on keys by `GROUP` and nothing else, its service, and an issuer that signs ML-DSA-87."""

    root: DebianRoot
    server: DebianServer
    issuer: Issuer
    folder: Path

    def run(self, *words: str, groups: str | None = None) -> "subprocess.CompletedProcess[str]":
        """A program in the root, allowed only these groups by its OpenSSL, if any are named; reads nothing."""
        settings = []
        if groups:
            file = self.folder / "server" / f"openssl-{groups.replace(':', '-')}.cnf"
            file.write_text(_OPENSSL.format(groups=groups))
            settings = [f"OPENSSL_CONF={INSIDE}/server/{file.name}"]
        command = self.root.command("env", *settings, f"PYTHONPATH={INSIDE}/python", *words, user=USER)
        return subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False
        )

    def sql(self, command: str) -> str:
        """What it answers the superuser, unaligned."""
        words = ("psql", "-XAtq", "-h", f"{INSIDE}/server", "-p", str(self.server.port), "-U", "postgres")
        done = self.run(*words, "-c", command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def audit(self) -> str:
        """All of it."""
        return (self.folder / "log" / "audit.jsonl").read_text()

    def listen(self, groups: str) -> tuple[Running, int]:
        """openssl's own server with the certificate of the issuer, for these groups only; the caller stops it."""
        port = free_port()
        pair = ("-cert", f"{INSIDE}/server/debian-18.crt", "-key", f"{INSIDE}/server/debian-18.key")
        command = self.root.command(
            *("openssl", "s_server", "-accept", f"127.0.0.1:{port}", *pair, "-groups", groups, "-www"), user=USER
        )
        return self._listening(command, port, "ACCEPT"), port

    def python(self, program: str) -> tuple[Running, int]:
        """A program in the root's Python that is given a port and prints ``listening``; the caller stops it."""
        port = free_port()
        return self._listening(
            self.root.command("python3", "-c", program, str(port), user=USER), port, "listening"
        ), port

    def _listening(self, command: list[str], port: int, said: str) -> Running:
        log = self.folder / f"listener-{port}.log"
        running = launch(command, log=log)
        wait_until(lambda: said in log.read_text() or not running.alive(), 30, f"{command[0]} to listen")
        return running


_OPENSSL: Final = """\
openssl_conf = begin
[begin]
ssl_conf = ssl
[ssl]
system_default = tls
[tls]
Groups = {groups}
"""


@pytest.fixture(scope="module")
def post_quantum(need: Callable[..., None], authority: Authority) -> Iterator[PostQuantum]:
    """One for the tests of a file."""
    need(ROOT, DEBOOTSTRAP)
    uid = pwd.getpwnam(USER)[2]
    folder = Path(tempfile.mkdtemp(prefix="pgbearer-quantum-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "server").mkdir()
    os.chown(folder / "server", uid, -1)
    root = DebianRoot.of(COMPILE_18).with_bind(folder, INSIDE)
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, folder)
        _copy_python(folder / "python", authority)
        issuer = undo.enter_context(Issuer(authority, algorithm="ML-DSA-87"))
        serving = service.start(folder, issuer.url, authority.ca_file, postgres_uid=uid, written=_policy)
        undo.callback(serving.stop)
        compile_module(root, folder, "/usr/lib/postgresql/18/bin/pg_config", uid)
        server = start_server(18, root, folder, issuer.url, authority, uid, more=f"ssl_groups = '{GROUP}'\n")
        undo.callback(server.process.stop)
        make_database(root, server)
        yield PostQuantum(root, server, issuer, folder)


def _copy_python(folder: Path, authority: Authority) -> None:
    """Our packages and what they need, where the Python in the root finds them; and whom it is to trust."""
    source = Path(service.__file__).parents[1] / "validator" / "pgbearer"
    shutil.copytree(source, folder / "pgbearer", ignore=shutil.ignore_patterns("__pycache__"))
    installed = Path(pytest.__file__).parents[1]
    for name in _PURE:
        if (installed / name).is_dir():
            shutil.copytree(installed / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(installed / "typing_extensions.py", folder)
    shutil.copy(authority.ca_file, folder / "ca.crt")


def _policy(addresses: Addresses) -> str:
    """Tokens of this issuer are good if they are signed with ML-DSA-87, and not otherwise."""
    issuer = {
        "profile": "keycloak",
        "issuer": addresses.issuer,
        "ca_file": str(addresses.ca_file),
        "audience": AUDIENCE,
        "clients": [CLIENT],
        "identity": "demo:{sub}",
        "algorithms": ["ML-DSA-87"],
    }
    socket = f"{addresses.run}/login/login.sock"
    return json.dumps(
        {
            "version": 1,
            "servers": {"demo": {"socket": socket, "uid": addresses.postgres_uid}},
            "issuers": {"demo": issuer},
            "defaults": {"session": {"until": "token", "max": "10h"}},
            "rules": [{"name": "all", "any_role": ["db-read"], "databases": ["appdb"], "roles": ["app_readonly"]}],
            "audit": {"file": f"{addresses.log}/audit.jsonl"},
            "admin": {"socket": f"{addresses.run}/admin/admin.sock"},
            "state": {"folder": str(addresses.state)},
            "http": {"address": addresses.http},
        }
    )
