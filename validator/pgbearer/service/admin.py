"""The admin socket: what was decided, by which configuration, what is revoked, compared. Each call is audited."""

import asyncio
import json
import os
import time
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from pgbearer.audit import AuditLog, AuditUnavailable, Recent, Remembered, Search
from pgbearer.service.command import RefusedCommandError, decode_command
from pgbearer.service.exchange import Exchange, Peer, Request, Response
from pgbearer.service.explaining import explain_remembered
from pgbearer.service.health import Health
from pgbearer.service.metrics import Metrics
from pgbearer.service.revocation_file import StoreUnavailable
from pgbearer.service.revoking import Lift, Revoke, lift, listed, revoke
from pgbearer.service.shadow_command import StartShadow, StopShadow, start_shadow, stop_shadow
from pgbearer.service.state import State

__all__ = ["AdminHandler", "BadQueryError"]

_DECISIONS: Final = "/v1/decisions"
_REVOCATIONS: Final = "/v1/revocations"
_SHADOW: Final = "/v1/shadow"
_CHANGES: Final = (_REVOCATIONS, _SHADOW)
"""What can be posted to, with all that is below."""
_SETTLE_SECONDS: Final = 1.0
"""How long a report waits for logins that are still to be compared."""


class BadQueryError(ValueError):
    """A question that cannot be understood."""


class AdminHandler:
    """Serves the admin socket to root and to the service's own user.

    Args:
        recent: the decisions that can be asked for.
        health: where the configuration in force is found.
        audit: where each call is recorded before it is answered, and a change before it is made.
        metrics: where calls are counted.
    """

    max_body = 16 * 1024

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

    def heard(self, method: str, target: str, peer: Peer) -> Response | None:
        """Everything can be asked, little be changed."""
        path = urlsplit(target).path
        if method == "GET" or (method == "POST" and path.startswith(_CHANGES)):
            return None
        why = f"only GET, and POST to {', '.join(_CHANGES)}"
        return self._audited(peer.uid, target, 405, {"error": why}, method=method)

    async def respond(self, request: Request) -> Response:
        """Answer one question, or obey one command, recorded first."""
        if request.method == "GET" and request.body:
            return self._audited(request.peer.uid, request.target, 413, {"error": "a question has no body"})
        try:
            status, body = await (self._obey(request) if request.method == "POST" else self._find(request.target))
        except BadQueryError as error:
            status, body = 400, {"error": str(error)}
        except RefusedCommandError as error:
            status, body = error.status, {"error": str(error), "problems": list(error.problems)}
        except (AuditUnavailable, StoreUnavailable) as error:
            status, body = 503, {"error": f"nothing was changed: {error.what}"}
        return self._audited(request.peer.uid, request.target, status, body, method=request.method)

    def fault(self, status: int, why: str, peer: Peer) -> Response:
        """The answer to something that is no question; recorded as the call that it may have been meant to be."""
        return self._audited(peer.uid, None, status, {"error": why})

    def disconnected(self, exchange: Exchange) -> None:
        """Nothing is held for a connection."""

    async def _find(self, target: str) -> tuple[int, Any]:
        url = urlsplit(target)
        if url.path == "/v1/config":
            return 200, _config(self._health.state, self._health)
        if url.path == _DECISIONS:
            found = self._recent.search(_search(url.query))
            return 200, {"decisions": [known.entry() for known in found]}
        if url.path.startswith(f"{_DECISIONS}/"):
            name, _, what = url.path.removeprefix(f"{_DECISIONS}/").partition("/")
            known = self._recent.find(name) if what in ("", "explanation") else None
            if known is None:
                older = "It remembers the last 10,000; older ones are in the audit: --audit FILE."
                return 404, {"error": f"the service remembers no decision {name!r}", "problems": [older]}
            # In a thread: with thousands of rules it takes longer than a login may wait.
            return 200, await asyncio.to_thread(explain_remembered, known, self._health.state) if what else _in_full(
                known
            )
        if url.path == _REVOCATIONS:
            return 200, listed(self._health.state.revocations.current(), time.time())
        if url.path == _SHADOW:
            await self._health.shadow.settled(_SETTLE_SECONDS)
            return 200, self._health.shadow.report()
        return 404, {"error": f"there is {_DECISIONS}, {_DECISIONS}/ID, {_REVOCATIONS}, {_SHADOW} and /v1/config"}

    async def _obey(self, request: Request) -> tuple[int, Any]:
        state, shadow, uid = self._health.state, self._health.shadow, request.peer.uid
        above, _, what = request.target.rpartition("/")
        match above, what:
            case ("/v1", "revocations"):
                revocation = decode_command(Revoke, request.body)
                return 200, await revoke(revocation, state.revocations, state.settings, self._audit, peer_uid=uid)
            case (_, "lift") if above.startswith(f"{_REVOCATIONS}/"):
                name, ticket = above.removeprefix(f"{_REVOCATIONS}/"), decode_command(Lift, request.body)
                return 200, await lift(name, ticket, state.revocations, self._audit, peer_uid=uid)
            case (above, "start") if above == _SHADOW:
                candidate = decode_command(StartShadow, request.body)
                return 200, await start_shadow(candidate, shadow, state, peer_uid=uid)
            case (above, "stop") if above == _SHADOW:
                decode_command(StopShadow, request.body)
                return 200, stop_shadow(shadow, peer_uid=uid)
        return 404, {"error": f"there is {_REVOCATIONS}, {_REVOCATIONS}/ID/lift, {_SHADOW}/start and {_SHADOW}/stop"}

    def _audited(self, uid: int, target: str | None, status: int, body: Any, *, method: str = "GET") -> Response:
        changing = {} if method == "GET" else {"method": method}
        try:
            self._audit.note("admin", peer_uid=uid, target=target, status=status, **changing)
        except AuditUnavailable as error:
            done = "it was done, but " if changing and status == 200 else ""
            return self._response(503, {"error": done + error.what})
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
        "revocations": health.revocations(),
        "shadow": health.shadow.summary(),
        "warnings": list(state.warnings),
        "settings": state.settings.model_dump(mode="json", by_alias=True, exclude_unset=True),
    }
