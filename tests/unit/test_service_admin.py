"""Who may ask the admin socket, and that asking is recorded first; the health application's few pages."""

import json
import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pgbearer.audit import AuditLog, AuditUnavailable, Recent, Remembered
from pgbearer.service.admin import AdminHandler
from pgbearer.service.app import make_app
from pgbearer.service.exchange import Exchange, Peer, Request, Response
from pgbearer.service.health import Health
from pgbearer.service.metrics import Metrics
from tests.parts.records import allowed_record

OURSELVES = os.geteuid()


class FakeAudit:
    """Keeps notes, unless its disk is full."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []
        self.full = False

    def note(self, kind: str, **members: Any) -> None:
        if self.full:
            raise AuditUnavailable("No space left on device")
        self.notes.append({"kind": kind, **members})


@pytest.fixture
def audit() -> FakeAudit:
    return FakeAudit()


@pytest.fixture
def handler(audit: FakeAudit) -> AdminHandler:
    recent = Recent()
    recent.add(Remembered(allowed_record(decision_id="d1")))
    return AdminHandler(recent, cast("Health", None), cast("AuditLog", audit), Metrics())


def connect(handler: AdminHandler, uid: int) -> Response | None:
    return handler.connected(cast("Exchange", SimpleNamespace(peer=Peer(1, uid, uid))))


@pytest.mark.parametrize("uid", [0, OURSELVES])
def test_root_and_the_services_own_user_may_ask(handler: AdminHandler, uid: int) -> None:
    assert connect(handler, uid) is None


def test_nobody_else_may_and_the_try_is_recorded(handler: AdminHandler, audit: FakeAudit) -> None:
    refusal = connect(handler, OURSELVES + 4242)
    assert refusal is not None
    assert refusal.status == 403
    assert audit.notes == [{"kind": "admin", "peer_uid": OURSELVES + 4242, "target": "connect", "status": 403}]


async def test_what_cannot_be_recorded_is_not_answered(handler: AdminHandler, audit: FakeAudit) -> None:
    request = Request("GET", "/v1/decisions/d1", b"", Peer(1, 0, 0))
    assert (await handler.respond(request)).status == 200
    audit.full = True
    refused = await handler.respond(request)
    assert refused.status == 503
    assert b"corp:u1" not in refused.body


async def test_what_is_refused_unread_is_recorded_as_well(handler: AdminHandler, audit: FakeAudit) -> None:
    peer = Peer(1, 4242, 4242)
    refused = [
        handler.heard("DELETE", "/v1/decisions", peer),
        handler.heard("POST", "/v1/config", peer),
        handler.fault(400, "not HTTP/1.1 as it should be", peer),
        await handler.respond(Request("GET", "/v1/config", b"x", peer)),
    ]
    assert [response.status for response in refused if response] == [405, 405, 400, 413]
    assert [{**note, "kind": None, "peer_uid": None} for note in audit.notes] == [
        {"kind": None, "peer_uid": None, "target": "/v1/decisions", "status": 405, "method": "DELETE"},
        {"kind": None, "peer_uid": None, "target": "/v1/config", "status": 405, "method": "POST"},
        {"kind": None, "peer_uid": None, "target": None, "status": 400},
        {"kind": None, "peer_uid": None, "target": "/v1/config", "status": 413},
    ]
    assert {(note["kind"], note["peer_uid"]) for note in audit.notes} == {("admin", 4242)}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("HEAD", "/healthz", 200),
        ("GET", "/readyz", 503),
        ("GET", "/metrics", 200),
        ("POST", "/healthz", 405),
        ("POST", "/v1/login", 404),
        ("GET", "/", 404),
    ],
)
async def test_the_health_application_has_three_pages(method: str, path: str, status: int) -> None:
    health = SimpleNamespace(report=lambda: {"ready": False, "obstacles": ["x"]}, measure=lambda _: None)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("no page reads a body")

    await make_app(cast("Health", health), Metrics())({"type": "http", "method": method, "path": path}, receive, send)
    start, body = sent
    assert start["status"] == status
    if path == "/readyz":
        assert json.loads(body["body"])["obstacles"] == ["x"]
