"""The service's memory when nothing in it can get fuller: all decisions that it keeps, and thousands of known tokens.

Alone: `python -m tests.bench.full_ring`. The bench calls `rows` with the stage that it has, after all else.
"""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pgbearer.wire import LoginRequest, Tls, encode_request
from tests.bench.budget import Row, render
from tests.bench.footprint import resident
from tests.bench.stage import Stage, set_up
from tests.parts.login import login_request

__all__ = ["rows"]

DECISIONS = 10_000
"""As many as the ring keeps (`pgbearer.audit.recent`)."""
TOKENS = 2_500
"""Good ones, each for four logins: a company's of one minute, for so long a verified token is remembered."""
PEOPLE = 500
_MIB = 1024 * 1024
_TLS = Tls(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", client_cert_sha256=None)


def rows(stage: Stage) -> list[Row]:
    """Fill the service, and tell what it takes; half of what came last are refusals with all that was considered."""
    before = resident(stage.service.pid)
    for request in _logins(stage):
        _ask(stage.login_socket, request)
    full = resident(stage.service.pid)
    kept = _asked(stage.folder / "admin" / "admin.sock", f"/v1/decisions?limit={2 * DECISIONS}")
    if len(kept["decisions"]) < DECISIONS:
        raise RuntimeError(f"only {len(kept['decisions'])} decisions are remembered")
    return [
        Row("service: resident, before", f"{before / _MIB:.0f} MiB"),
        Row(
            f"service: resident with {DECISIONS} decisions and {TOKENS} tokens remembered",
            f"{full / _MIB:.0f} MiB",
            "<= 80 MiB",
            full <= 80 * _MIB,
        ),
    ]


def _logins(stage: Stage) -> Iterator[LoginRequest]:
    now = int(time.time())
    tokens = [
        stage.issuer.token(sub=f"{number % PEOPLE:08x}-6f40-4b4e-8b55-5f2b29a35b2e", sid=f"s-{number}", exp=now + 3000)
        for number in range(TOKENS)
    ]
    for number in range(DECISIONS + DECISIONS // 10):
        role = "bench_oauth" if number % 2 else "bench_trust"
        plain = login_request(
            token=tokens[number % TOKENS],
            role=role,
            database="postgres",
            issuer=stage.issuer.url,
            scopes=("openid",),
            address=f"192.0.2.{number % 250}",
        )
        access = plain.access
        client = replace(access.client, port=1024 + number % 60_000, tls=_TLS)
        yield replace(plain, access=replace(access, client=client, backend=replace(access.backend, pid=number)))


def _ask(path: Path, request: LoginRequest) -> None:
    body = encode_request(request)
    answer = _exchange(path, b"POST /v1/login HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    if answer.get("reason") not in ("allowed", "role_not_allowed"):
        raise RuntimeError(f"neither in nor refused by the rules: {answer}")


def _asked(path: Path, target: str) -> dict[str, Any]:
    return _exchange(path, f"GET {target} HTTP/1.1\r\n\r\n".encode())


def _exchange(path: Path, sent: bytes) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(sent)
        parts = []
        while part := connection.recv(1 << 20):
            parts.append(part)
    found: dict[str, Any] = json.loads(b"".join(parts).partition(b"\r\n\r\n")[2])
    return found


def main() -> None:
    """Measure, and print the table."""
    with set_up() as stage:
        print(render("memory, as full as it gets", rows(stage)))


if __name__ == "__main__":
    main()
