"""The programmable issuer with logins that last: refresh tokens that are rotated, sessions that can be ended."""

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.device_issuer import DeviceIssuer

__all__ = ["Session", "SessionIssuer"]


@dataclass
class Session:
    """One login: the refresh token that is good now, and those that were."""

    refresh: str
    spent: set[str] = field(default_factory=set)


class SessionIssuer(DeviceIssuer):
    """Rotates refresh tokens as Keycloak does with ``revokeRefreshToken``: one that comes again ends the session.

    `refreshes` counts renewals, `reuses` refresh tokens that came twice, `logins` device codes that were asked for; all
    are for tests to read. `lifetime` is in seconds. `before_the_answer`, if set, is called after a refresh token was
    spent and before the answer is sent.
    """

    sessions: list[Session]
    refreshes: int
    reuses: int
    lifetime: int
    before_the_answer: Callable[[], object] | None
    ended: list[str]

    def begin_anew(self) -> None:
        self._lock = threading.Lock()
        self.sessions, self.refreshes, self.reuses, self.lifetime, self.ended = [], 0, 0, 300, []
        self.before_the_answer = None
        super().begin_anew()
        self.changes["interval"] = 1

    @property
    def logins(self) -> int:
        """How many device codes were asked for."""
        return sum(path.endswith("/device") for path, _ in self.forms)

    def begin_session(self) -> Session:
        """Log somebody in, without a login."""
        session = Session(f"refresh-{uuid.uuid4()}")
        self.sessions.append(session)
        return session

    def end_sessions(self) -> None:
        """End every login, as an administrator does."""
        self.sessions.clear()

    def answer_form(self, path: str, fields: Mapping[str, str]) -> tuple[int, Mapping[str, Any]] | None:
        with self._lock:
            answered = super().answer_form(path, fields) or self._end(path, fields)
        if self.before_the_answer is not None and fields.get("grant_type") == "refresh_token":
            self.before_the_answer()
        return answered

    def _token(self, fields: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        if fields.get("grant_type") == "refresh_token":
            return self._refresh(fields["refresh_token"])
        status, answer = super()._token(fields)
        if status != 200:
            return status, answer
        self.issued.pop()
        return 200, self._grant(self.begin_session())

    def _endpoints(self) -> dict[str, str]:
        protocol = f"{self.url}/protocol/openid-connect"
        ends = {"end_session_endpoint": f"{protocol}/logout", "revocation_endpoint": f"{protocol}/revoke"}
        return super()._endpoints() | ends

    def _refresh(self, token: str) -> tuple[int, Mapping[str, Any]]:
        session = next((one for one in self.sessions if token == one.refresh or token in one.spent), None)
        if session is None:
            return 400, {"error": "invalid_grant", "error_description": "Session not active"}
        if token in session.spent:
            self.reuses += 1
            self.sessions.remove(session)
            return 400, {"error": "invalid_grant", "error_description": "Maximum allowed refresh token reuse exceeded"}
        self.refreshes += 1
        session.spent.add(token)
        session.refresh = f"refresh-{uuid.uuid4()}"
        return 200, self._grant(session)

    def _grant(self, session: Session) -> Mapping[str, Any]:
        now = int(time.time())
        token = self.token(**{"iat": now, "exp": now + self.lifetime} | self.claims_of_token)
        self.issued.append(token)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "refresh_token": session.refresh,
            "refresh_expires_in": 36_000,
            "scope": "openid db:demo",
        }

    def _end(self, path: str, fields: Mapping[str, str]) -> tuple[int, Mapping[str, Any]] | None:
        if not path.endswith(("/logout", "/revoke")):
            return None
        token = fields.get("refresh_token") or fields.get("token")
        self.sessions = [one for one in self.sessions if one.refresh != token]
        self.ended.append(path.rpartition("/")[2])
        return 200, {}
