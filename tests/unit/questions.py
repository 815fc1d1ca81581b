"""Builders for tests of deciders: a question, and a line whose other end says what the test wants."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pgbearer.deciders import Line, Question
from pgbearer.http import FetchError, Reply
from tests.unit.logins import NOW, request, verified

__all__ = ["DECISION_ID", "TOKEN", "Said", "Scripted", "json_reply", "question"]

DECISION_ID = "0123456789abcdef0123"
TOKEN = "person.access.token"


def question(*, token: str | None = None, server: str = "local", **changes: Any) -> Question:
    """About the usual login, with `changes` to the person (a member of `Verified`) or to the request."""
    fields = type(verified()).__dataclass_fields__
    person = {name: value for name, value in changes.items() if name in fields}
    asked = {name: value for name, value in changes.items() if name not in fields}
    return Question(
        decision_id=DECISION_ID,
        verified=replace(verified(), **person),
        request=request(**asked),
        server=server,
        now=NOW,
        token=token,
    )


def json_reply(body: object, status: int = 200, *, x_request_id: str | None = None) -> Reply:
    """A reply with this JSON, and perhaps the header that names a question."""
    named = {} if x_request_id is None else {"x-request-id": x_request_id}
    return Reply(status, {"content-type": "application/json", **named}, json.dumps(body).encode())


@dataclass
class Said:
    """One request as it went out."""

    method: str
    url: str
    body: bytes
    content_type: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Scripted:
    """Answers with `replies` in their order, the last one for ever; one that is an error is raised."""

    replies: list[Reply | FetchError]
    said: list[Said] = field(default_factory=list)

    @property
    def line(self) -> Line:
        return Line(self)

    async def get(self, url: str, *, headers: Mapping[str, str]) -> Reply:
        return self._answer(Said("GET", url, b"", "", headers))

    async def post(self, url: str, body: bytes, *, content_type: str, headers: Mapping[str, str]) -> Reply:
        return self._answer(Said("POST", url, body, content_type, headers))

    def _answer(self, said: Said) -> Reply:
        self.said.append(said)
        reply = self.replies[0] if len(self.replies) == 1 else self.replies.pop(0)
        if isinstance(reply, FetchError):
            raise reply
        return reply
