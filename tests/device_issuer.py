"""The programmable issuer with a device authorization grant (RFC 8628), approved by script instead of a person."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from tests.issuer import Issuer

__all__ = ["DeviceIssuer"]

_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class DeviceIssuer(Issuer):
    """Gives device codes, and for each poll the next of `polls`: an OAuth error code, or (the default) a token.

    `forms` keeps what was sent, `changes` replaces members of the device authorization response; both are for tests to
    read and write between requests.
    """

    polls: deque[str]
    forms: list[tuple[str, dict[str, str]]]
    changes: dict[str, Any]
    claims_of_token: dict[str, Any]
    issued: list[str]
    refuse_authorization: str | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.begin_anew()

    def begin_anew(self) -> None:
        """As if nothing had happened yet."""
        self.polls, self.forms, self.issued = deque(), [], []
        self.changes, self.claims_of_token, self.refuse_authorization = {}, {}, None
        self.mend()

    def mend(self) -> None:
        super().mend()
        self._metadata |= self._endpoints()

    def answer_form(self, path: str, fields: Mapping[str, str]) -> tuple[int, Mapping[str, Any]] | None:
        self.forms.append((path, dict(fields)))
        match path.rpartition("/")[2]:
            case "device":
                return self._authorize()
            case "token":
                return self._token(fields)
        return None

    def _endpoints(self) -> dict[str, str]:
        protocol = f"{self.url}/protocol/openid-connect"
        return {"token_endpoint": f"{protocol}/token", "device_authorization_endpoint": f"{protocol}/auth/device"}

    def _authorize(self) -> tuple[int, Mapping[str, Any]]:
        if self.refuse_authorization:
            return 401, {"error": self.refuse_authorization, "error_description": "Invalid client credentials"}
        answer = {
            "device_code": "the-device-code",
            "user_code": "ABCD-EFGH",
            "verification_uri": f"{self.url}/device",
            "verification_uri_complete": f"{self.url}/device?user_code=ABCD-EFGH",
            "expires_in": 120,
            "interval": 5,
        }
        return 200, answer | self.changes

    def _token(self, fields: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        if (fields.get("grant_type"), fields.get("device_code")) != (_GRANT, "the-device-code"):
            return 400, {"error": "invalid_grant"}
        if self.polls:
            return 400, {"error": self.polls.popleft()}
        token = self.token(**self.claims_of_token)
        self.issued.append(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": "openid db:demo"}
