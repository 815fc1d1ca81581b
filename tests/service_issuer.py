"""The programmable issuer with a token endpoint for clients that prove themselves: client credentials and exchange."""

import base64
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from tests.issuer import Issuer

__all__ = ["SECRET", "Asked", "ServiceIssuer"]

SECRET = "a secret: with + and %"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


@dataclass
class Asked:
    """One request to the token endpoint."""

    form: dict[str, str] = field(repr=False)
    client: str | None
    """The user name of HTTP Basic, if the secret with it was right."""


class ServiceIssuer(Issuer):
    """Gives each who asks a token with a subject of their own; who proves nothing is refused.

    `lifetime` is the tokens', in seconds; `changes` replaces members of the next answers; `error` refuses them.
    """

    lifetime: float
    changes: dict[str, Any]
    error: tuple[int, str] | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.lifetime, self.changes, self.error = 300, {}, None
        self.asked: list[Asked] = []
        self._counting = threading.Lock()
        super().__init__(*args, **kwargs)
        self.mend()

    def mend(self) -> None:
        super().mend()
        self.changes, self.error = {}, None
        self._metadata["token_endpoint"] = self.token_endpoint

    @property
    def token_endpoint(self) -> str:
        """Where it is asked."""
        return f"{self.url}/protocol/openid-connect/token"

    def answer_post(
        self, path: str, fields: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, Any]] | None:
        if not self.token_endpoint.endswith(path):
            return None
        client = _authenticated(headers.get("authorization", ""))
        with self._counting:
            self.asked.append(Asked(dict(fields), client))
            number = len(self.asked)
        if self.error is not None:
            return self.error[0], {"error": self.error[1], "error_description": "as the test wants"}
        if client is None and "client_assertion" not in fields:
            return 401, {"error": "invalid_client"}
        return 200, self._given(fields, number) | self.changes

    def _given(self, fields: Mapping[str, str], number: int) -> dict[str, Any]:
        subject = f"service-{number}"
        if fields.get("grant_type") == _EXCHANGE:
            subject = str(_claims(fields["subject_token"])["sub"])
        now = int(time.time())
        token = self.token(sub=subject, exp=now + max(int(self.lifetime), 1), jti=f"trrtte:{number}")
        return {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime, "scope": "db:demo"}


def _claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return decoded


def _authenticated(header: str) -> str | None:
    kind, _, pair = header.partition(" ")
    if kind != "Basic":
        return None
    client, _, secret = base64.b64decode(pair).decode().partition(":")
    return unquote_plus(client) if unquote_plus(secret) == SECRET else None
