"""A proxy before the demo's database, for alice, who is asked by a device code and answers at once."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pgbearer.client import DeviceCode
from pgbearer.client.proxy import Listen, ListenTcp, Upstream
from pgbearer.client.sources import PersonSource
from pgbearer.client.store import TokenStore
from tests.e2e.fix_keycloak import REALM_FILE, person
from tests.e2e.fix_stack import LoginStack
from tests.parts.device_pages import approve
from tests.parts.ports import free_port
from tests.parts.proxying import RunningProxy

__all__ = ["Approving", "Gate", "conninfo", "gate", "loopback_gate", "open_gate", "person_source"]

SCOPE = "openid db:demo"


class Approving:
    """Alice in front of a browser: she approves each code that is put before her, and counts them."""

    def __init__(self, stack: LoginStack) -> None:
        self._ca_file = stack.ca_file
        self.asked = 0

    def __call__(self, code: DeviceCode) -> None:
        """Approve `code` on Keycloak's own pages."""
        self.asked += 1
        approve(code.verification_uri, person("alice"), ca_file=self._ca_file, user_code=code.user_code)


@dataclass(frozen=True, slots=True)
class Gate:
    """A running proxy, and how to get to it."""

    folder: Path
    """Of its socket, or of its password file."""
    where: dict[str, str]
    """The environment that sends a program there."""
    running: RunningProxy
    person: Approving
    source: PersonSource

    @property
    def asked(self) -> int:
        """How often the person was asked to log in."""
        return self.person.asked

    @property
    def logins(self) -> int:
        """How many connections it has logged in."""
        return self.running.status().logins

    def environment(self) -> dict[str, str]:
        """Ours, with what sends a program there."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**ours, **self.where}


def person_source(stack: LoginStack, person: Approving, store: TokenStore | None = None) -> PersonSource:
    """Alice's login, kept in memory unless there is a store."""
    return PersonSource(
        stack.issuer,
        scope=SCOPE,
        device_client_id=_device_client(),
        how="device",
        show=person,
        store=store or "memory",
        ca_file=stack.ca_file,
    )


def conninfo(stack: LoginStack, pinned: str = "dbname=appdb user=app_readonly") -> str:
    """How the proxy reaches the database."""
    return f"host=localhost port={stack.server.port} sslrootcert={stack.ca_file} {pinned}"


@contextmanager
def open_gate(
    stack: LoginStack,
    places: Callable[[Path], Sequence[Listen | ListenTcp]] = lambda folder: [Listen(folder)],
    admits: int | None = None,
) -> Iterator[Gate]:
    """A proxy for alice that serves until the end of the block.

    Args:
        stack: what it is before.
        places: where it listens, in a folder which is short and ours alone.
        admits: the uid that may come in instead of ours.
    """
    person = Approving(stack)
    source = person_source(stack, person)
    with tempfile.TemporaryDirectory(prefix="pgbearer-proxy-", dir="/tmp") as name:
        folder = Path(name)
        (place, *_) = chosen = places(folder)
        admit = None if admits is None else {admits: source}.get
        running = RunningProxy(Upstream("demo", conninfo(stack), source, admit=admit), chosen)
        running.start()
        try:
            yield Gate(folder, _where(place), running, person, source)
        finally:
            running.stop()


@pytest.fixture(scope="module")
def gate(stack: LoginStack) -> Iterator[Gate]:
    """A proxy at a Unix socket."""
    with open_gate(stack) as gate:
        yield gate


@pytest.fixture(scope="module")
def loopback_gate(stack: LoginStack) -> Iterator[Gate]:
    """A proxy on the loopback, behind the secret of its run."""
    port = free_port()

    def places(folder: Path) -> Sequence[ListenTcp]:
        return [ListenTcp(folder / "passfile", port)]

    with open_gate(stack, places) as gate:
        yield gate


def _device_client() -> str:
    """The client of the realm that may log in by device code."""
    grant = "oauth2.device.authorization.grant.enabled"
    clients = json.loads(REALM_FILE.read_text())["clients"]
    (name,) = (client["clientId"] for client in clients if client.get("attributes", {}).get(grant) == "true")
    return str(name)


def _where(place: Listen | ListenTcp) -> dict[str, str]:
    ours = {"PGPORT": str(place.port), "PGUSER": "app_readonly", "PGDATABASE": "appdb"}
    if isinstance(place, Listen):
        return {"PGHOST": str(place.folder), **ours}
    return {"PGHOST": "127.0.0.1", "PGPASSFILE": str(place.passfile), **ours}
