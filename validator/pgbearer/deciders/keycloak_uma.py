"""Keycloak's authorization services: may this person have this scope of this resource?

The question is Keycloak's UMA grant with ``response_mode=decision`` (Authorization Services Guide, "Obtaining
permissions"), so the answer is a yes or a no and never a token. It is put with the person's own token, so Keycloak also
sees whether the session still lives. Neither question nor answer has an id: what ties them together is that a
connection carries one exchange at a time and is not used again after one that broke off.
"""

from typing import Final
from urllib.parse import urlencode

from pgbearer.config import parse_template
from pgbearer.config.decider_kinds import KeycloakDecider
from pgbearer.deciders.decider import No, Opinion, Question, Yes
from pgbearer.deciders.fault import DeciderError, DeciderFault, DeciderMisconfigured
from pgbearer.deciders.line import Line
from pgbearer.deciders.replies import refused, shown, strict_object
from pgbearer.deciders.values import fill
from pgbearer.http import Reply

__all__ = ["KeycloakUma"]

_GRANT: Final = "urn:ietf:params:oauth:grant-type:uma-ticket"
_TOKEN_ENDPOINT: Final = "/protocol/openid-connect/token"  # noqa: S105 - a path
_REFUSALS: Final = frozenset(
    {(400, "invalid_resource"), (400, "invalid_scope"), (400, "invalid_grant"), (401, "invalid_grant")}
)
"""Status and error that say something of this permission or this person, beside every 403: the token is none (400), or
its session or user is no more (401). Other errors say something of us (Keycloak's AuthorizationTokenService)."""


class KeycloakUma:
    """Asks one realm for one permission at a time. For one event loop; `settings` as in the file, `line` to `url`."""

    needs_token = True

    def __init__(self, settings: KeycloakDecider, line: Line) -> None:
        self._line = line
        self._issuer = settings.issuer
        self._url = settings.url.rstrip("/") + _TOKEN_ENDPOINT
        self._audience = settings.audience
        self._permission = parse_template(settings.permission)

    async def ask(self, question: Question) -> Opinion:
        """One permission, asked for with the person's token; see `Decider.ask`."""
        form = {
            "grant_type": _GRANT,
            "audience": self._audience,
            "permission": fill(self._permission, question),
            "response_mode": "decision",
        }
        headers = {"authorization": f"Bearer {self._token(question)}", "x-request-id": question.decision_id}
        kind = "application/x-www-form-urlencoded"
        reply = await self._line.post(self._url, urlencode(form).encode(), content_type=kind, headers=headers)
        return _granted(reply) if reply.status == 200 else _refusal(reply, self._url)

    def _token(self, question: Question) -> str:
        """The person's token, which only the realm that issued it may be shown."""
        if question.verified.issuer != self._issuer:
            raise DeciderMisconfigured(f"asked about a token of {question.verified.issuer}, not of {self._issuer}")
        if question.token is None:
            raise DeciderError("asked without the person's token")
        return question.token


def _granted(reply: Reply) -> Yes:
    if strict_object(reply).get("result") is not True:
        raise DeciderFault("answered 200 without a decision")
    return Yes()


def _refusal(reply: Reply, url: str) -> No:
    """A refusal is a decision, also where it cannot be read: taken for a fault, something else would answer for it."""
    try:
        answer = strict_object(reply)
    except DeciderFault:
        answer = {}
    error = shown(answer.get("error"))
    if reply.status != 403 and (reply.status, error) not in _REFUSALS:
        raise refused(reply, error, where=url)
    return No(reason=shown(answer.get("error_description")) or error)
