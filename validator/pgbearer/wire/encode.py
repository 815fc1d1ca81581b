"""Answers to bytes, and (for tests and measurements that play the module) requests to bytes."""

from typing import Any, Final

import msgspec

from pgbearer.wire.answer import Allowed, Answer
from pgbearer.wire.decode import Echo
from pgbearer.wire.reason import Reason
from pgbearer.wire.request import LoginRequest
from pgbearer.wire.version import VERSION

__all__ = ["echo_of", "encode_answer", "encode_fault", "encode_request"]


def echo_of(request: LoginRequest) -> Echo:
    """What the answer to `request` repeats."""
    access = request.access
    return Echo(version=request.version, request_id=access.request_id, role=access.role, database=access.database)


def encode_answer(answer: Answer, echo: Echo, *, now_ms: int) -> bytes:
    r"""The body of a decision: raw UTF-8 in which only what JSON requires is escaped.

    PostgreSQL's JSON parser runs while the server encoding is still SQL_ASCII and refuses ``\u00e9`` then
    (src/common/jsonapi.c), so ``ensure_ascii`` must be off.

    Args:
        answer: the decision.
        echo: what the request said; a version that is not spoken is echoed too, for a refusal only.
        now_ms: the service's clock, epoch milliseconds, from which ``ends_in_ms`` is counted.

    Raises:
        UnicodeEncodeError: an identity or claim holds half a surrogate pair; callers deny.
    """
    body: dict[str, Any] = {
        "v": echo.version,
        "request_id": echo.request_id,
        "role": echo.role,
        "database": echo.database,
        "decision_id": answer.decision_id,
    }
    if isinstance(answer, Allowed):
        ends_in = None if answer.ends_at is None else max(0, answer.ends_at - now_ms)
        body |= {
            "decision": "allow",
            "reason": Reason.ALLOWED,
            "identity": answer.identity,
            "ends_at": answer.ends_at,
            "ends_in_ms": ends_in,
            "claims": dict(answer.claims),
        }
    else:
        body |= {"decision": "deny", "reason": answer.reason}
    return _json(body)


def encode_fault(reason: Reason, detail: str) -> bytes:
    """The body beside a status other than 200: for people with curl; the module takes the status for a fault."""
    return _json({"v": VERSION, "decision": "deny", "reason": reason, "detail": detail})


def encode_request(request: LoginRequest) -> bytes:
    """The body that a module would send for `request`."""
    access = request.access
    role = access.role_attributes
    body = {
        "v": request.version,
        "request_id": access.request_id,
        "now": access.now,
        "token": request.token,
        "role": access.role,
        "role_attributes": {
            "exists": role.exists,
            "super": role.superuser,
            "replication": role.replication,
            "createrole": role.createrole,
            "createdb": role.createdb,
            "bypassrls": role.bypassrls,
            "member_of": sorted(role.member_of),
        },
        "database": access.database,
        "replication": access.replication,
        "hba": {
            "issuer": access.hba.issuer,
            "scopes": list(access.hba.scopes),
            "delegate": access.hba.delegate,
            "map": access.hba.map,
        },
        "client": _client(request),
        "unverified": {"application_name": access.application_name},
        "server": {
            "instance": access.server.instance,
            "system_identifier": access.server.system_identifier,
            "start": access.server.start,
            "in_recovery": access.server.in_recovery,
            "version": access.server.version,
        },
        "backend": {"pid": access.backend.pid, "start": access.backend.start},
    }
    return _json(body)


def _client(request: LoginRequest) -> dict[str, Any]:
    client = request.access.client
    tls = client.tls and {
        "version": client.tls.version,
        "cipher": client.tls.cipher,
        "client_cert_sha256": client.tls.client_cert_sha256,
    }
    return {"address": client.address, "port": client.port, "tls": tls}


_ENCODER: Final = msgspec.json.Encoder()


def _json(body: dict[str, Any]) -> bytes:
    return _ENCODER.encode(body)
