"""OpenID AuthZEN Authorization API 1.0: one evaluation (section 6), at an endpoint that is known or told by metadata.

https://openid.net/specs/authorization-api-1_0.html
"""

import asyncio
import json
import time
from typing import Final
from urllib.parse import urlsplit

from pgbearer.config.decider_kinds import AuthZenDecider
from pgbearer.deciders.authzen_presets import PRESETS, reason_in
from pgbearer.deciders.authzen_shape import Shape
from pgbearer.deciders.credentials import credentials_of
from pgbearer.deciders.decider import No, Opinion, Question, Yes
from pgbearer.deciders.fault import DeciderFault, DeciderMisconfigured
from pgbearer.deciders.line import Line
from pgbearer.deciders.replies import refused, shown, strict_object
from pgbearer.http import Reply

__all__ = ["AuthZen"]

_WELL_KNOWN: Final = "/.well-known/authzen-configuration"
_METADATA_SECONDS: Final = 300.0
"""How long what the metadata said is believed."""


class AuthZen:
    """Asks one policy decision point. For one event loop; `settings` as in the file, `line` to `url`.

    Raises:
        UsageError: a file with a secret is not usable.
    """

    needs_token = False

    def __init__(self, settings: AuthZenDecider, line: Line) -> None:
        preset = PRESETS[settings.preset]
        self._line = line
        self._shape = Shape(settings, preset)
        self._repeats = preset.repeats
        self._must_repeat = settings.request_id == "required"
        self._credentials = credentials_of(settings, line)
        self._endpoint = _Endpoint(settings, line, preset.endpoint)

    async def ask(self, question: Question) -> Opinion:
        """One evaluation; see `Decider.ask`."""
        body = json.dumps(self._shape.body(question)).encode()
        headers = {**await self._credentials.headers(), "x-request-id": question.decision_id}
        url = await self._endpoint.url()
        reply = await self._line.post(url, body, headers=headers)
        if reply.status != 200:
            if reply.status == 401:
                self._credentials.refused()
            raise refused(reply, where=url)
        return self._opinion(reply, question.decision_id)

    def _opinion(self, reply: Reply, decision_id: str) -> Opinion:
        """A no counts unless it is somebody else's; a yes only if it is for this question."""
        answer = strict_object(reply)
        decision, reason = answer.get("decision"), shown(reason_in(answer))
        answered = self._repeats(reply, answer)
        if answered not in (None, decision_id):
            raise DeciderFault("answered another question")
        if not isinstance(decision, bool):
            raise DeciderFault("answered 200 without a decision that is true or false")
        if not decision:
            return No(reason=reason)
        if answered is None and self._must_repeat:
            raise DeciderFault("answered without naming the question")
        return Yes(reason=reason)


class _Endpoint:
    """Where evaluations are asked for: as the settings say, or as the metadata does, which is read when needed."""

    def __init__(self, settings: AuthZenDecider, line: Line, usual: str) -> None:
        self._line = line
        self._pdp = settings.url
        self._metadata = _metadata_url(settings)
        self._url = settings.endpoint or settings.url.rstrip("/") + usual
        self._until = float("-inf")
        self._reading = asyncio.Lock()

    async def url(self) -> str:
        """The address.

        Raises:
            DeciderFault: the metadata is not to be had now.
            DeciderMisconfigured: it is another's, or leads elsewhere.
        """
        if self._metadata is None:
            return self._url
        async with self._reading:  # one reads for all
            if time.monotonic() >= self._until:
                self._url = _endpoint_in(await self._line.get(self._metadata), self._pdp)
                self._until = time.monotonic() + _METADATA_SECONDS
            return self._url


def _metadata_url(settings: AuthZenDecider) -> str | None:
    """Section 9.2: the well-known part stands between host and path; some append it, as OpenID Connect did."""
    base = urlsplit(settings.url.rstrip("/"))
    match settings.metadata:
        case "inserted":
            return base._replace(path=_WELL_KNOWN + base.path).geturl()
        case "appended":
            return base._replace(path=base.path + _WELL_KNOWN).geturl()
        case given:
            return given


def _endpoint_in(reply: Reply, pdp: str) -> str:
    """Section 9.1.2: the metadata must be of the very point that it was asked for; it may not send us elsewhere."""
    if reply.status != 200:
        raise refused(reply, by="its metadata's address")
    said = strict_object(reply)
    endpoint = said.get("access_evaluation_endpoint")
    if said.get("policy_decision_point") != pdp:
        raise DeciderMisconfigured("its metadata is that of another policy decision point")
    if not isinstance(endpoint, str) or urlsplit(endpoint)[:2] != urlsplit(pdp)[:2]:
        raise DeciderMisconfigured("its metadata names no endpoint on its own origin")
    return endpoint
