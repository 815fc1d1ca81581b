"""The programmable issuer with a browser login (RFC 6749 section 4.1), renewal, revocation and logout."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.issuer import Issuer

__all__ = ["CodeIssuer"]


class CodeIssuer(Issuer):
    """Answers a browser's question at once, as if the person had logged in long ago; gives a token for the code.

    `questions` and `forms` keep what was asked, `redirects` what the browser was sent back with. `answer_of_browser`
    replaces members of what it is sent back with, None takes one away; `refusal` is the error that the token endpoint
    answers with; `rotates` makes each refresh token good once. All are for tests to read and write between requests.
    """

    questions: list[dict[str, str]]
    forms: list[tuple[str, dict[str, str]]]
    redirects: list[str]
    answer_of_browser: dict[str, str | None]
    claims_of_token: dict[str, Any]
    refusal: tuple[int, str] | None
    rotates: bool
    sessions: dict[str, str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.begin_anew()

    def begin_anew(self) -> None:
        """As if nothing had happened yet."""
        self.questions, self.forms, self.redirects = [], [], []
        self.answer_of_browser, self.claims_of_token, self.refusal = {}, {}, None
        self.rotates, self.sessions = False, {}
        self._codes: dict[str, dict[str, str]] = {}
        self.mend()

    def mend(self) -> None:
        super().mend()
        protocol = f"{self.url}/protocol/openid-connect"
        self._metadata |= {
            "token_endpoint": f"{protocol}/token",
            "authorization_endpoint": f"{protocol}/auth",
            "revocation_endpoint": f"{protocol}/revoke",
            "end_session_endpoint": f"{protocol}/logout",
            "authorization_response_iss_parameter_supported": True,
        }

    def authorize(self, url: str) -> str:
        """Where the browser is sent back to for the question in `url`, without a page in between."""
        question = dict(parse_qsl(urlsplit(url).query, strict_parsing=True))
        self.questions.append(question)
        code = secrets.token_urlsafe(16)
        self._codes[code] = question
        answer = {"code": code, "state": question["state"], "iss": self.url} | self.answer_of_browser
        said = {name: value for name, value in answer.items() if value is not None}
        self.redirects.append(f"{question['redirect_uri']}?{urlencode(said)}")
        return self.redirects[-1]

    def answer_form(self, path: str, fields: Mapping[str, str]) -> tuple[int, Mapping[str, Any]] | None:
        self.forms.append((path.rpartition("/")[2], dict(fields)))
        if self.refusal is not None:
            return self.refusal[0], {"error": self.refusal[1]}
        match path.rpartition("/")[2], fields.get("grant_type"):
            case "token", "authorization_code":
                return self._for_code(fields)
            case "token", "refresh_token":
                return self._for_refresh_token(fields)
            case "logout", _:
                gone = self.sessions.pop(fields.get("refresh_token", ""), None)
                return (200, {}) if gone else (400, {"error": "invalid_grant"})
            case "revoke", _:
                self.sessions.pop(fields["token"], None)
                return 200, {}
        return None

    def _for_code(self, fields: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        question = self._codes.pop(fields["code"], None)
        if question is None or not _proves(question, fields):
            return 400, {"error": "invalid_grant"}
        return 200, self._grant(question["client_id"])

    def _for_refresh_token(self, fields: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        client = self.sessions.get(fields["refresh_token"])
        if client is None or client != fields["client_id"]:
            return 400, {"error": "invalid_grant"}
        if self.rotates:
            del self.sessions[fields["refresh_token"]]
        return 200, self._grant(client)

    def _grant(self, client: str) -> dict[str, Any]:
        refresh = secrets.token_urlsafe(16)
        self.sessions[refresh] = client
        token = self.token(azp=client, **self.claims_of_token)
        kind = {"token_type": "Bearer", "expires_in": 300, "refresh_expires_in": 1800, "scope": "openid db:demo"}
        return {"access_token": token, "refresh_token": refresh, **kind}


def _proves(question: Mapping[str, str], fields: Mapping[str, str]) -> bool:
    """RFC 7636 section 4.6, and that the rest is as it was asked."""
    digest = hashlib.sha256(fields["code_verifier"].encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    same = all(question[name] == fields[name] for name in ("client_id", "redirect_uri"))
    return same and hmac.compare_digest(challenge, question["code_challenge"])
