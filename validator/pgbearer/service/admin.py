"""The admin socket: what was decided, and by which configuration. Each call is audited."""

import json
import os
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pgbearer.audit import AuditLog, AuditUnavailable, Recent, Remembered, Search
from pgbearer.service.exchange import Exchange, Request, Response
from pgbearer.service.health import Health
from pgbearer.service.metrics import Metrics
from pgbearer.service.state import State

__all__ = ["AdminHandler", "BadQueryError"]

_DECISIONS = "/v1/decisions"


class BadQueryError(ValueError):
    """A question that cannot be understood."""


class AdminHandler:
    """Serves the admin socket to root and to the service's own user.

    Args:
        recent: the decisions that can be asked for.
        health: where the configuration in force is found.
        audit: where each call is recorded before it is answered.
        metrics: where calls are counted.
    """

    max_body = 0

    def __init__(self, recent: Recent, health: Health, audit: AuditLog, metrics: Metrics) -> None:
        self._recent = recent
        self._health = health
        self._audit = audit
        self._metrics = metrics

    def connected(self, exchange: Exchange) -> Response | None:
        """Refuse everybody but root and ourselves; the socket's mode does too, but a mode can be changed."""
        uid = exchange.peer.uid
        if uid in (0, os.geteuid()):
            return None
        return self._audited(uid, "connect", 403, {"error": "only root and the service's own user may ask"})

    def heard(self, method: str, target: str) -> Response | None:
        """Nothing can be changed here."""
        return None if method == "GET" else self.fault(405, "only GET")

    async def respond(self, request: Request) -> Response:
        """Answer one question, recorded first."""
        uid = request.peer.uid
        try:
            status, body = self._find(request.target)
        except BadQueryError as error:
            status, body = 400, {"error": str(error)}
        return self._audited(uid, request.target, status, body)

    def fault(self, status: int, why: str) -> Response:
        """The answer to something that is no question."""
        return self._response(status, {"error": why})

    def disconnected(self, exchange: Exchange) -> None:
        """Nothing is held for a connection."""

    def _find(self, target: str) -> tuple[int, Any]:
        url = urlsplit(target)
        if url.path == "/v1/config":
            return 200, _config(self._health.state, self._health)
        if url.path == _DECISIONS:
            found = self._recent.search(_search(url.query))
            return 200, {"decisions": [known.entry() for known in found]}
        if url.path.startswith(f"{_DECISIONS}/"):
            known = self._recent.find(url.path.removeprefix(f"{_DECISIONS}/"))
            return (200, _in_full(known)) if known else (404, {"error": "not among the last decisions"})
        return 404, {"error": f"there is {_DECISIONS}, {_DECISIONS}/ID and /v1/config"}

    def _audited(self, uid: int, target: str, status: int, body: Any) -> Response:
        try:
            self._audit.note("admin", peer_uid=uid, target=target, status=status)
        except AuditUnavailable as error:
            return self._response(503, {"error": error.what})
        return self._response(status, body)

    def _response(self, status: int, body: Any) -> Response:
        self._metrics.admin_calls.labels(str(status)).inc()
        return Response(status, json.dumps(body, ensure_ascii=True).encode())


def _search(query: str) -> Search:
    try:
        given = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=10)
    except ValueError:
        raise BadQueryError("not a query string") from None
    unknown = given.keys() - {"identity", "role", "reason", "since", "limit"}
    if unknown or any(len(values) > 1 for values in given.values()):
        raise BadQueryError("filters are identity, role, reason, since and limit, each at most once")
    one = {name: values[0] for name, values in given.items()}
    return Search(
        identity=one.get("identity"),
        role=one.get("role"),
        reason=one.get("reason"),
        since=_number("since", one["since"]) if "since" in one else None,
        limit=_number("limit", one.get("limit", "100")),
    )


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise BadQueryError(f"{name} is not a whole number")
    return int(text)


def _in_full(known: Remembered) -> dict[str, Any]:
    considered = [
        {
            "rule": one.rule,
            "deny": one.deny,
            "matched": one.matched,
            "unmet": one.unmet,
            "error": one.error,
            "detail": one.detail,
        }
        for one in known.trace
    ]
    reason = known.record.reason
    return {**known.entry(), "meaning": reason.meaning, "remedy": reason.remedy, "considered": considered}


def _config(state: State, health: Health) -> dict[str, Any]:
    """The settings in force; they hold no secret, only names of files that may."""
    return {
        **health.report()["config"],
        "warnings": list(state.warnings),
        "settings": state.settings.model_dump(mode="json", by_alias=True, exclude_unset=True),
    }
