"""Deciders outside: a question about one login is handed on, and comes back as a yes or a no, or not at all."""

from pgbearer.deciders.decider import Decider, No, Opinion, Question, Yes
from pgbearer.deciders.fault import DeciderError, DeciderFault, DeciderMisconfigured, QuestionUnaskable
from pgbearer.deciders.line import Line, Poster
from pgbearer.deciders.replies import MAX_REASON, refused, shown, strict_object
from pgbearer.deciders.values import FIELDS, fill, value_of

__all__ = [
    "FIELDS",
    "MAX_REASON",
    "Decider",
    "DeciderError",
    "DeciderFault",
    "DeciderMisconfigured",
    "Line",
    "No",
    "Opinion",
    "Poster",
    "Question",
    "QuestionUnaskable",
    "Yes",
    "fill",
    "refused",
    "shown",
    "strict_object",
    "value_of",
]
