"""Deciders are heard: the one part of a login that waits for somebody outside, and only where a rule says so."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pgbearer.audit import Inquiry
from pgbearer.deciders import Panel, Question
from pgbearer.policy import Advice, Answer, Ask

__all__ = ["Heard", "advice_from", "hear", "new_decision_id"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of asking."""

    decision_id: str
    inquiries: tuple[Inquiry, ...]

    @property
    def advice(self) -> Mapping[str, Advice]:
        """As `pgbearer.policy.conclude` takes it."""
        return advice_from(self.inquiries)


async def hear(panel: Panel | None, ask: Ask, token: str) -> Heard:
    """Put a login to the deciders that it hangs on.

    Args:
        panel: the deciders of the configuration in force; None if it has none, and then nobody says yes.
        ask: from `pgbearer.policy.evaluate`.
        token: of the login, for deciders whose protocol is the token.
    """
    decision_id = new_decision_id()
    asked = ask.asked
    question = Question(
        decision_id=decision_id,
        verified=asked.verified,
        request=asked.request,
        server=asked.server,
        now=asked.now,
        token=token,
    )
    return Heard(decision_id, await panel.ask(ask.deciders, question) if panel else ())


def advice_from(inquiries: Iterable[Inquiry]) -> Mapping[str, Advice]:
    """What was said, by decider, as `pgbearer.policy.conclude` takes it."""
    return {
        one.decider: Advice(answer=Answer(one.answer), reason=one.reason, last_yes_age=one.last_yes_age)
        for one in inquiries
    }


def new_decision_id() -> str:
    """The id of a decision: what records, answers and deciders call it. 20 hexadecimal digits, random."""
    return secrets.token_hex(10)
