"""The commands `psql`, `run` and `proxy` as a person starts them: with a client.toml, and a token that asks nobody."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pgbearer.client import AccessToken
from tests.integration.fix_chain import PGBEARER
from tests.integration.fix_proxy import TlsServer
from tests.proxied import ISSUER, SECRET

__all__ = ["HOLDER", "Local", "local"]

HOLDER = f"oauth:holder-of-{AccessToken(SECRET).ref}"
"""Whom the server takes everybody for who has the token."""


@dataclass
class Local:
    """A person's settings: upstream ``appdb``, and a profile whose token is in a file."""

    folder: Path
    server: TlsServer
    environment: dict[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LISTEN_"))}
        token_file, runtime = self.folder / "token", self.folder / "run"
        token_file.touch(mode=0o600)
        token_file.write_text(SECRET)
        runtime.mkdir(mode=0o700)
        self.environment |= {
            "PGBEARER_CONFIG_FILE": str(self.folder / "client.toml"),
            "XDG_RUNTIME_DIR": str(runtime),
            "HOME": str(self.folder),
            "PSQL_HISTORY": "/dev/null",
            "PSQL_PAGER": "",
            "TERM": "dumb",
        }
        self.write(f'[upstreams.appdb]\nconninfo = "{self.conninfo}"\n')

    @property
    def conninfo(self) -> str:
        """How the server is reached, as ``app`` and in ``appdb``."""
        return f"{self.server.conninfo} user=app dbname=appdb"

    @property
    def client_file(self) -> Path:
        return self.folder / "client.toml"

    def write(self, more: str) -> None:
        """Write client.toml: the profile, and what `more` says beside it."""
        profile = f'[profiles.robot]\nissuer = "{ISSUER}"\nsource = {{kind = "file", path = "token"}}\n'
        self.client_file.write_text(f'default = "robot"\n{profile}{more}')

    def command(self, *words: str | Path) -> list[str]:
        """A command line of pgbearer."""
        return [PGBEARER, *map(str, words)]

    def run(
        self, *words: str | Path, env: Mapping[str, str] | None = None, said: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        how: dict[str, Any] = {"input": said} if said is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(
            self.command(*words),
            env={**self.environment, **(env or {})},
            capture_output=True,
            text=True,
            timeout=120,
            **how,
        )


@pytest.fixture
def local(tls_postgres_server: TlsServer, tmp_path_factory: pytest.TempPathFactory) -> Local:
    """The settings are the test's own; the server is that of its file."""
    folder = tmp_path_factory.mktemp("l")
    folder.chmod(0o700)
    return Local(folder, tls_postgres_server)
