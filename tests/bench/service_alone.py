"""The service without PostgreSQL: decisions a second within the process, and over its socket."""

import json
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jwt
import uvloop

from pgbearer.audit import AuditLog, Recent
from pgbearer.config.settings import State
from pgbearer.service.callers import login_sockets
from pgbearer.service.decide import Decider
from pgbearer.service.exchange import Peer, Request
from pgbearer.service.limits import Slots
from pgbearer.service.login_protocol import LoginHandler, by_uid
from pgbearer.service.metrics import Metrics
from pgbearer.service.state import build_state, read_file
from pgbearer.wire import encode_request
from tests.bench.budget import Row
from tests.bench.stage import Stage
from tests.parts.login import login_request

__all__ = ["rows"]


def rows(stage: Stage, warm: str, cold: Sequence[str]) -> list[Row]:
    """The table of the third budget: `cold` tokens are used once each, in the process and then over the socket."""
    half = len(cold) // 2
    first, again = uvloop.run(_in_process(stage, cold[:half]))
    decode = _decodes_per_second(stage, warm)
    socket_warm = _over_socket(stage, [warm] * half)
    socket_cold = _over_socket(stage, cold[half:])
    return [
        Row("PyJWT alone: RS256 decodes/s", f"{decode:.0f}"),
        _rate("in process, cold: decisions/s (and as a multiple of PyJWT's)", first, 3000, decode),
        _rate("in process, cached: decisions/s (and as a multiple of PyJWT's)", again, 6000, decode),
        _rate("over the socket, cold: decisions/s", socket_cold, 1500),
        _rate("over the socket, cached: decisions/s", socket_warm, 1500),
    ]


def _rate(what: str, per_second: float, least: int, decode: float | None = None) -> Row:
    measured = f"{per_second:.0f}" if decode is None else f"{per_second:.0f}, {per_second / decode:.2f}"
    return Row(what, measured, f">= {least}", per_second >= least)


def _body(stage: Stage, token: str) -> bytes:
    return encode_request(
        login_request(token=token, role="bench_oauth", database="postgres", issuer=stage.issuer.url, scopes=("openid",))
    )


async def _in_process(stage: Stage, tokens: Sequence[str]) -> tuple[float, float]:
    """From the request's bytes to the answer's, the record in the audit file included; cold, then cached."""
    loaded = read_file(stage.settings)
    own = loaded.settings.model_copy(update={"state": State(folder=stage.folder / "in-process")})
    state = build_state(replace(loaded, settings=own), login_sockets(own))
    state.revocations.open()
    await state.verifiers.start()
    audit = AuditLog(str(stage.folder / "in-process.jsonl"), instance="bench")
    metrics = Metrics()
    (path,) = state.sockets
    handler = LoginHandler(by_uid(path), Decider(state, audit, Recent(), metrics), Slots(), metrics)
    try:
        return await _decisions(stage, handler, tokens), await _decisions(stage, handler, tokens)
    finally:
        await state.verifiers.aclose()
        await state.revocations.aclose()
        audit.close()


async def _decisions(stage: Stage, handler: LoginHandler, tokens: Sequence[str]) -> float:
    peer = Peer(os.getpid(), os.geteuid(), os.getegid())
    requests = [Request("POST", "/v1/login", _body(stage, token), peer) for token in tokens]
    started = time.perf_counter()
    for request in requests:
        response = await handler.respond(request)
        _allowed(response.body)
    return len(requests) / (time.perf_counter() - started)


def _over_socket(stage: Stage, tokens: Sequence[str]) -> float:
    """One connection a decision, one after the other, as fast as one client can."""
    bodies = [_body(stage, token) for token in tokens]
    started = time.perf_counter()
    for body in bodies:
        _allowed(_ask(stage.login_socket, body).partition(b"\r\n\r\n")[2])
    return len(bodies) / (time.perf_counter() - started)


def _ask(path: Path, body: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"POST /v1/login HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def _allowed(body: bytes) -> None:
    """A benchmark of refusals would be a fast one."""
    answer = json.loads(body)
    if answer["decision"] != "allow":
        raise RuntimeError(f"not allowed: {answer}")


def _decodes_per_second(stage: Stage, token: str, count: int = 2000) -> float:
    key = stage.issuer.key.private.public_key()
    started = time.perf_counter()
    for _ in range(count):
        jwt.decode(token, key, algorithms=["RS256"], options={"verify_aud": False})
    return count / (time.perf_counter() - started)
