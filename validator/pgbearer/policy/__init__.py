"""Rules and conditions: a pure function of verified claims and a request."""

from pgbearer.policy.advice import Advice, Answer
from pgbearer.policy.asking import Ask, conclude
from pgbearer.policy.compiler import Compiled, compile  # noqa: A004 -- see there
from pgbearer.policy.evaluate import Policy, decide, evaluate, explain
from pgbearer.policy.fields import FIELDS, Asked
from pgbearer.policy.names import expressible
from pgbearer.policy.outcome import Allow, Considered, Deny, Outcome

__all__ = [
    "FIELDS",
    "Advice",
    "Allow",
    "Answer",
    "Ask",
    "Asked",
    "Compiled",
    "Considered",
    "Deny",
    "Outcome",
    "Policy",
    "compile",
    "conclude",
    "decide",
    "evaluate",
    "explain",
    "expressible",
]
