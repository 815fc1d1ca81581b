"""A programmable issuer that can also be asked whether a token is still good (RFC 7662), and lies as it is told to."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.device_issuer import DeviceIssuer

__all__ = ["CLIENT_ID", "SECRET", "IntrospectingIssuer", "claims_in"]

CLIENT_ID = "db:demo"
SECRET = "a secret: with + and %"

Answer = Callable[[dict[str, Any]], tuple[int, Mapping[str, Any]]]


def claims_in(token: str) -> dict[str, Any]:
    """What a token says."""
    body = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return decoded


class IntrospectingIssuer(DeviceIssuer):
    """`ended` holds the ``sid`` of sessions that are over; `tell` replaces its answer; `asked` counts questions."""

    ended: set[str]
    tell: Answer | None
    asked: list[dict[str, str]]

    def __init__(self, *args: Any, **more: Any) -> None:
        self.ended, self.tell, self.asked = set(), None, []
        super().__init__(*args, **more)

    @property
    def introspection_endpoint(self) -> str:
        return f"{self.url}/protocol/openid-connect/token/introspect"

    def answer_form(self, path: str, fields: Mapping[str, str]) -> tuple[int, Mapping[str, Any]] | None:
        if f"https://127.0.0.1:{self.port}{path}" != self.introspection_endpoint:
            return super().answer_form(path, fields)
        self.asked.append(dict(fields))
        said = claims_in(fields["token"])
        if self.tell is not None:
            return self.tell(said)
        if said.get("sid") in self.ended:
            return 200, {"active": False}
        return 200, {**said, "active": True, "client_id": said["azp"], "token_type": "Bearer", "username": "alice"}
