"""Start and stop the parts of the demo: Keycloak, the service, PostgreSQL."""

import os
import secrets
import signal
import sysconfig
from contextlib import ExitStack
from pathlib import Path

import httpx

from demo import database, state
from demo.policy import Addresses, policy_file
from demo.state import Stack
from tests.parts import keycloak
from tests.parts.authority import Authority
from tests.parts.ports import free_port, prefer
from tests.parts.postgres import Server, server_uid
from tests.parts.processes import Running, launch, wait_until
from tests.parts.progress import step

__all__ = ["ServiceError", "start", "stop"]

REALM = Path(__file__).parents[1] / "keycloak-realm" / "demo-realm.json"
KEYCLOAK_PORT, POSTGRES_PORT = 8443, 25432
"""Taken if they are free, so that what a person noted down yesterday works today."""


class ServiceError(Exception):
    """The service did not become ready; the message ends with its log."""


def start() -> Stack:
    """Start everything, in the order in which each needs the one before; what was started ends if a later part fails.

    Raises:
        MissingError, KeycloakError, ServiceError, TlsPostgresError, BuildError: with what a person can do about it.
    """
    folder = state.folder()
    run, log = folder / "run", folder / "log"
    for each in (folder, run, log, folder / "keycloak", folder / "postgres"):
        each.mkdir(mode=0o755)
    authority = Authority(folder / "tls", "pgbearer demo authority")
    chosen = database.choose()
    with ExitStack() as undo:
        running = keycloak.start(
            folder / "keycloak",
            authority,
            [REALM],
            admin_password=secrets.token_urlsafe(16),
            port=prefer(KEYCLOAK_PORT),
        )
        undo.callback(running.stop)
        service = _start_service(running.issuer(), authority.ca_file)
        undo.callback(service.stop)
        port = prefer(POSTGRES_PORT)
        with step("PostgreSQL starts, with the module preloaded"):
            server = database.start(
                chosen, folder / "postgres", authority, running.issuer(), run / "login" / "login.sock", port
            )
        undo.callback(server.shut_down)
        stack = Stack(
            issuer=running.issuer(),
            ca_file=str(authority.ca_file),
            host="localhost" if chosen.tls else str(server.folder),
            port=port,
            admin_socket=str(run / "admin" / "admin.sock"),
            logs=_logs(running, server),
            processes={"keycloak": running.process, "service": service, "postgres": Running.of(server.pid)},
        )
        state.remember(stack)
        undo.pop_all()
    return stack


def stop(stack: Stack) -> None:
    """Stop what still runs of `stack`, the last started first."""
    for name, process in reversed(stack.processes.items()):
        if process.alive():
            with step(f"{name} stops"):
                process.stop(how=signal.SIGINT if name == "postgres" else signal.SIGTERM)


def _start_service(issuer: str, ca_file: Path) -> Running:
    folder = state.folder()
    http = f"127.0.0.1:{free_port()}"
    policy = folder / "pgbearer.yaml"
    policy.write_text(policy_file(Addresses(issuer, ca_file, folder / "run", folder / "log", server_uid(), http)))
    policy.chmod(0o644)  # the service refuses a file that others may write
    log = folder / "log" / "service.log"
    pgbearer = Path(sysconfig.get_path("scripts")) / "pgbearer"
    with step("pgbearer serve starts"):
        service = launch([pgbearer, "serve", "-c", policy], log=log, env={**os.environ, "PYTHONUNBUFFERED": "1"})
        wait_until(lambda: _ready(http) or not service.alive(), 60, "the service to be ready")
    if not service.alive():
        raise ServiceError(f"pgbearer serve ended:\n{log.read_text()[-3000:]}")
    return service


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/readyz", timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _logs(running: keycloak.Keycloak, server: Server) -> dict[str, str]:
    log = state.folder() / "log"
    return {
        "Keycloak": str(running.log),
        "pgbearer serve": str(log / "service.log"),
        "PostgreSQL": str(server.log_file),
        "audit": str(log / "audit.jsonl"),
    }
