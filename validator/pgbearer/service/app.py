"""Health and metrics for machines, as an ASGI application on a TCP listener of their own. It never answers logins."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pgbearer.service.health import Health
from pgbearer.service.metrics import Metrics

__all__ = ["Receive", "Scope", "Send", "make_app"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_Page = tuple[int, str, bytes]
"""Status, content type, body."""


def make_app(health: Health, metrics: Metrics) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The application: GET /healthz (the process answers), /readyz (it can decide, or why not), /metrics.

    Args:
        health: what /readyz says.
        metrics: what /metrics says.
    """

    def healthz() -> _Page:
        return _json(200, {"status": "ok"})

    def readyz() -> _Page:
        report = health.report()
        return _json(200 if report["ready"] else 503, report)

    def exposition() -> _Page:
        health.measure(metrics)
        return 200, CONTENT_TYPE_LATEST, metrics.exposition()

    pages = {"/healthz": healthz, "/readyz": readyz, "/metrics": exposition}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        page = pages.get(scope["path"])
        if page is None:
            await _send(send, _json(404, {"error": "not found"}))
        elif scope["method"] not in ("GET", "HEAD"):
            await _send(send, _json(405, {"error": "only GET"}))
        else:
            await _send(send, page())

    return app


def _json(status: int, body: Any) -> _Page:
    return status, "application/json", json.dumps(body).encode()


async def _send(send: Send, page: _Page) -> None:
    status, content_type, body = page
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
