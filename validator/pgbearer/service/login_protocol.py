"""The login listener: `POST /v1/login` and nothing else (docs/protocol.md)."""

import time
from collections.abc import Callable
from pathlib import Path

from pgbearer.service.decide import Decider
from pgbearer.service.exchange import Exchange, Peer, Request, Response
from pgbearer.service.limits import Entry, Slots
from pgbearer.service.metrics import Metrics
from pgbearer.service.state import State
from pgbearer.service.tls_listener import Refusals
from pgbearer.wire import (
    MAX_REQUEST_BYTES,
    Answer,
    Echo,
    Reason,
    Refused,
    RequestError,
    decode_request,
    echo_of,
    encode_answer,
    encode_fault,
)

__all__ = ["LoginHandler", "NetworkLoginHandler", "by_uid"]

_TRY_ELSEWHERE = frozenset({Reason.OVERLOADED, Reason.NOT_READY})
"""Refusals that say nothing of the login: 503, on which the module asks its next endpoint."""

_MOST_NAMES = 512
"""Characters that a line of the log has of a stranger's names."""


class LoginHandler:
    """Serves one login listener. All listeners of a service share the decider, the slots and the metrics.

    Args:
        caller: the name under ``servers:`` of who is connected, by the configuration in force; None if it has none.
    """

    max_body = MAX_REQUEST_BYTES

    def __init__(
        self, caller: Callable[[State, Peer], str | None], decider: Decider, slots: Slots, metrics: Metrics
    ) -> None:
        self._caller_in = caller
        self._decider = decider
        self._slots = slots
        self._metrics = metrics
        self._callers: dict[Exchange, tuple[str | None, Entry]] = {}

    def connected(self, exchange: Exchange) -> Response | None:
        """Take a place for it, or refuse at once."""
        state = self._decider.state
        caller = self._caller_in(state, exchange.peer)
        settings = state.settings
        entry = self._slots.enter(
            caller,
            limit=settings.limits.in_flight,
            servers=len(settings.servers),
            whence=exchange.peer.whence,
        )
        self._callers[exchange] = caller, entry
        self._metrics.in_flight.set(self._slots.known)
        if entry is Entry.ADMITTED:
            return None
        if caller is not None:
            self._metrics.crowded.labels(caller).inc()
        if entry is Entry.SWAMPED:
            exchange.abort()
        return self._refusal(503, encode_fault(Reason.OVERLOADED, "limits.in_flight"))

    def heard(self, method: str, target: str, peer: Peer) -> Response | None:
        """Refuse everything but the one question."""
        if target != "/v1/login":
            return self.fault(404, "only POST /v1/login is served here", peer)
        return None if method == "POST" else self.fault(405, "only POST /v1/login is served here", peer)

    async def respond(self, request: Request) -> Response:
        """Decide the login."""
        caller = self._caller(request.peer)
        try:
            login = decode_request(request.body)
        except RequestError as error:
            answer = self._decider.refuse(error, request.peer, caller)
            return (
                self.fault(400, error.detail, request.peer) if error.echo is None else self._answer(answer, error.echo)
            )
        answer = await self._decider.decide(login, request.peer, caller)
        return self._answer(answer, echo_of(login))

    def fault(self, status: int, why: str, peer: Peer) -> Response:
        """An answer that is no decision."""
        return self._refusal(status, encode_fault(Reason.REQUEST_INVALID, why))

    def disconnected(self, exchange: Exchange) -> None:
        """Give its place back."""
        self._slots.leave(*self._callers.pop(exchange), exchange.peer.whence)
        self._metrics.in_flight.set(self._slots.known)

    def _caller(self, peer: Peer) -> str | None:
        return self._caller_in(self._decider.state, peer)

    def _answer(self, answer: Answer, echo: Echo) -> Response:
        elsewhere = isinstance(answer, Refused) and answer.reason in _TRY_ELSEWHERE
        body = encode_answer(answer, echo, now_ms=time.time_ns() // 1_000_000)
        return Response(503 if elsewhere else 200, body)

    def _refusal(self, status: int, body: bytes) -> Response:
        self._metrics.faults.labels(str(status)).inc()
        return Response(status, body)


class NetworkLoginHandler(LoginHandler):
    """Serves the listener for servers on other hosts: whom the certificate does not make one of ours is not read.

    Over a Unix socket a stranger is at least a process of this machine, and is denied as such, with a record. Here it
    is anybody with a certificate of the authority.
    """

    def __init__(self, decider: Decider, slots: Slots, metrics: Metrics, refusals: Refusals) -> None:
        super().__init__(_by_certificate, decider, slots, metrics)
        self._refusals = refusals

    def connected(self, exchange: Exchange) -> Response | None:
        """Take a place for it, or refuse at once."""
        refusal = super().connected(exchange)
        caller, _ = self._callers[exchange]
        if caller is not None:
            if exchange.peer.expires is not None:
                self._metrics.caller_expires.labels(caller).set(exchange.peer.expires)
            return refusal
        known = ", ".join(exchange.peer.names)[:_MOST_NAMES] or "no SPIFFE ID or DNS name"
        why = f"its certificate ({known}) is of no server under servers:"
        self._refusals.add("unknown", exchange.peer.address or "?", why)
        return self._refusal(403, encode_fault(Reason.CALLER_UNKNOWN, "servers"))


def by_uid(path: Path) -> Callable[[State, Peer], str | None]:
    """Who asks at the Unix socket `path`, as the kernel knows it."""

    def caller(state: State, peer: Peer) -> str | None:
        login = state.sockets.get(path)
        return login.callers.get(peer.uid) if login else None

    return caller


def _by_certificate(state: State, peer: Peer) -> str | None:
    return state.caller_by_certificate(peer.names)
