"""Start and stop the parts of the demo: Keycloak, the service, PostgreSQL."""

import secrets
import signal
from contextlib import ExitStack
from pathlib import Path

from demo import database, service, state
from demo.state import Stack
from tests.parts import keycloak
from tests.parts.authority import Authority
from tests.parts.ports import prefer
from tests.parts.postgres import Server
from tests.parts.processes import Running
from tests.parts.progress import step

__all__ = ["start", "stop"]

REALM = Path(__file__).parents[1] / "keycloak-realm" / "demo-realm.json"
KEYCLOAK_PORT, POSTGRES_PORT = 8443, 25432
"""Taken if they are free, so that what a person noted down yesterday works today."""


def start() -> Stack:
    """Start everything, in the order in which each needs the one before; what was started ends if a later part fails.

    Raises:
        MissingError, KeycloakError, ServiceError, TlsPostgresError, BuildError: with what a person can do about it.
    """
    folder = state.folder()
    for each in (folder, folder / "keycloak", folder / "postgres"):
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
        with step("pgbearer serve starts"):
            serving = service.start(folder, running.issuer(), authority.ca_file)
        undo.callback(serving.stop)
        port = prefer(POSTGRES_PORT)
        with step("PostgreSQL starts, with the module preloaded"):
            server = database.start(
                chosen, folder / "postgres", authority, running.issuer(), service.login_socket(folder), port
            )
        undo.callback(server.shut_down)
        stack = Stack(
            issuer=running.issuer(),
            ca_file=str(authority.ca_file),
            host="localhost" if chosen.tls else str(server.folder),
            port=port,
            admin_socket=str(service.admin_socket(folder)),
            logs=_logs(running, server),
            processes={"keycloak": running.process, "service": serving, "postgres": Running.of(server.pid)},
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


def _logs(running: keycloak.Keycloak, server: Server) -> dict[str, str]:
    log = state.folder() / "log"
    return {
        "Keycloak": str(running.log),
        "pgbearer serve": str(log / "service.log"),
        "PostgreSQL": str(server.log_file),
        "audit": str(log / "audit.jsonl"),
    }
