"""What every decider is: one question about one login in, one opinion out, and anything else is an exception.

A decider knows one protocol and nothing of rules, time-outs, breakers or caches: those are the same for all and lie
around it (`pgbearer.deciders.panel`). It is asked only about tokens that have passed every check.
"""

from dataclasses import dataclass, field
from typing import Protocol

from pgbearer.verified import Verified
from pgbearer.wire import AccessRequest

__all__ = ["Decider", "No", "Opinion", "Question", "Yes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One login, as a decider is asked about it."""

    decision_id: str
    """Of the decision that this is asked for; goes out as ``X-Request-ID``, so that both audits can be compared."""
    verified: Verified
    """Who asks. Every claim here was verified; nothing else of the token is."""
    request: AccessRequest
    """What is asked. `application_name` is what a client merely claims."""
    server: str
    """The asking server's name under ``servers:``, by the peer of the connection."""
    now: int
    """Epoch seconds."""
    token: str | None = field(default=None, repr=False)
    """The person's own token, only for a decider whose protocol is the token (`Decider.needs_token`); else None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yes:
    """The decider says that the login may proceed, as far as it goes: a rule must still match in all it says itself."""

    reason: str | None = None
    """Why, in the decider's words, as `pgbearer.deciders.shown` makes them safe to log; None if it says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class No:
    """The decider says no: a decision of its own, never a fault, and final for this question."""

    reason: str | None = None
    """As for `Yes`."""


Opinion = Yes | No


class Decider(Protocol):
    """Somebody outside who is asked. For one event loop; many questions may be under way at a time."""

    @property
    def needs_token(self) -> bool:
        """Whether `Question.token` must be there: only where the protocol is the token (Keycloak's UMA)."""
        ...

    async def ask(self, question: Question) -> Opinion:
        """One question, one exchange: no retry, no memory, no fallback; cancelled when the time is over.

        Yes only for an answer that says so without any doubt: the documented status, the documented type (true, and not
        "true" or 1), and about this question, where the protocol can say so. A documented refusal is `No`. All else
        raises; nothing that is raised or returned may hold a token, a credential or unescaped text of the answer.

        Raises:
            QuestionUnaskable: a value of the login cannot be put into the question. Says nothing of the decider.
            DeciderFault: it could not be asked or gave no usable answer: connect, TLS, time-out, 429, 5xx, unparsable,
                or about another question. Moves the breaker; ``on_fault`` applies.
            DeciderMisconfigured: it answers, but not to us: our credentials are refused, 404, any other status that is
                no documented answer. Denies; ``on_fault`` does not apply.
        """
        ...
