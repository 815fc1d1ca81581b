"""Open Policy Agent: a document of its data API, with the login as input (OPA's REST API reference, "Get a Document").

OPA says 200 to whatever it is asked, and leaves ``result`` out where the document is undefined: a no. It gives its
answers no id either, so the document is to repeat that of the question.
"""

import json
from typing import Final

from pgbearer.config.decider_kinds import OpaDecider
from pgbearer.deciders.credentials import credentials_of
from pgbearer.deciders.decider import No, Opinion, Question, Yes
from pgbearer.deciders.document import document
from pgbearer.deciders.fault import DeciderFault
from pgbearer.deciders.line import Line
from pgbearer.deciders.replies import refused, shown, strict_object

__all__ = ["Opa"]

_ABSENT: Final = object()


class Opa:
    """Asks one OPA for one document. For one event loop; `settings` as in the file, `line` to `url`.

    Raises:
        UsageError: a file with a secret is not usable.
    """

    needs_token = False

    def __init__(self, settings: OpaDecider, line: Line) -> None:
        self._line = line
        self._url = f"{settings.url.rstrip('/')}/v1/data/{settings.path}"
        self._path = settings.path
        self._must_repeat = settings.request_id == "required"
        self._credentials = credentials_of(settings, line)

    async def ask(self, question: Question) -> Opinion:
        """One document, for one login; see `Decider.ask`."""
        body = json.dumps({"input": document(question)}).encode()
        headers = {**await self._credentials.headers(), "x-request-id": question.decision_id}
        reply = await self._line.post(self._url, body, headers=headers)
        if reply.status != 200:
            if reply.status == 401:
                self._credentials.refused()
            raise refused(reply, where=self._url)
        result = strict_object(reply).get("result", _ABSENT)
        if result is _ABSENT:
            return No(reason=f"{self._path} is undefined")
        return self._opinion(result, question.decision_id)

    def _opinion(self, result: object, decision_id: str) -> Opinion:
        """A no counts unless it is somebody else's; a yes only if it is for this question."""
        if isinstance(result, bool):
            result = {"allow": result}
        if not isinstance(result, dict):
            raise DeciderFault("answered with a document that is no decision: an object with allow and id")
        allow, answered, reason = result.get("allow", False), result.get("id"), shown(result.get("reason"))
        if answered not in (None, decision_id):
            raise DeciderFault("answered another question")
        if not isinstance(allow, bool):
            raise DeciderFault("answered with an allow that is neither true nor false")
        if not allow:
            return No(reason=reason)
        if answered is None and self._must_repeat:
            raise DeciderFault("answered without naming the question: the document must have its id")
        return Yes(reason=reason)
