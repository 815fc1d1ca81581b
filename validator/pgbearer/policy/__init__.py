"""Rules and conditions: a pure function of verified claims and a request."""

from pgbearer.policy.compiler import Compiled, compile  # noqa: A004 -- see there
from pgbearer.policy.evaluate import Policy, evaluate, explain
from pgbearer.policy.fields import FIELDS, Asked
from pgbearer.policy.names import expressible
from pgbearer.policy.outcome import Allow, Considered, Deny, Outcome

__all__ = [
    "FIELDS",
    "Allow",
    "Asked",
    "Compiled",
    "Considered",
    "Deny",
    "Outcome",
    "Policy",
    "compile",
    "evaluate",
    "explain",
    "expressible",
]
