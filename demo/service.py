"""The demo's service: `pgbearer serve` as a process, and its admin socket as a place to ask why."""

import os
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from demo.policy import Addresses, policy_file
from tests.parts.ports import free_port
from tests.parts.postgres import server_uid
from tests.parts.processes import Running, launch, wait_until

__all__ = ["ServiceError", "admin_socket", "decision", "login_socket", "start"]


class ServiceError(Exception):
    """The service did not become ready; the message ends with its log."""


def login_socket(folder: Path) -> Path:
    """Where the service in `folder` answers PostgreSQL."""
    return folder / "run" / "login" / "login.sock"


def admin_socket(folder: Path) -> Path:
    """Where the service in `folder` answers who runs it."""
    return folder / "run" / "admin" / "admin.sock"


def start(
    folder: Path,
    issuer: str,
    ca_file: Path,
    *,
    postgres_uid: int | None = None,
    written: Callable[[Addresses], str] = policy_file,
) -> Running:
    """Start the service with the demo's policy and return when it is ready, which is when it has the issuer's keys.

    Args:
        folder: gets pgbearer.yaml, run/ for the sockets, log/ for its log and the audit, and state/.
        issuer: whose tokens are good.
        ca_file: the authority that the issuer's certificate comes from.
        postgres_uid: of the server that may ask; None for the one that servers here run as.
        written: gives the text of pgbearer.yaml; the demo's, unless another is to be tried.

    Raises:
        ServiceError: it ended while starting.
        TimeUpError: it was not ready in a minute.
    """
    for each in (folder / "run", folder / "log"):
        each.mkdir(mode=0o755)
    http = f"127.0.0.1:{free_port()}"
    policy = folder / "pgbearer.yaml"
    uid = server_uid() if postgres_uid is None else postgres_uid
    places = (folder / "run", folder / "log", folder / "state")
    policy.write_text(written(Addresses(issuer, ca_file, *places, uid, http)))
    policy.chmod(0o644)  # the service refuses a file that others may write
    log = folder / "log" / "service.log"
    pgbearer = Path(sysconfig.get_path("scripts")) / "pgbearer"
    service = launch([pgbearer, "serve", "-c", policy], log=log, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        wait_until(lambda: _ready(http) or not service.alive(), 60, "the service to be ready")
    except BaseException:  # also an interrupt: nobody else knows yet that it runs
        service.stop()
        raise
    if not service.alive():
        raise ServiceError(f"pgbearer serve ended:\n{log.read_text()[-3000:]}")
    return service


def decision(admin: str | Path, role: str, token_ref: str) -> Mapping[str, Any]:
    """What was decided last of the token with this `token_ref` for `role`, and why.

    The client can name its token and not its login: no id reaches it through PostgreSQL's answer, which is the same for
    every refusal.
    """
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(admin)), base_url="http://admin") as asked:
        listed = asked.get("/v1/decisions", params={"role": role}).raise_for_status().json()["decisions"]
        (ours, *_) = (each for each in listed if each["token_ref"] == token_ref)
        found: Mapping[str, Any] = asked.get(f"/v1/decisions/{ours['decision_id']}").raise_for_status().json()
    return found


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/readyz", timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
