"""Deciders outside: a question about one login is handed on, and comes back as a yes or a no, or not at all."""

from pgbearer.deciders.authzen import AuthZen
from pgbearer.deciders.build import build_decider, build_panel
from pgbearer.deciders.decider import Decider, No, Opinion, Question, Yes
from pgbearer.deciders.fault import DeciderError, DeciderFault, DeciderMisconfigured, QuestionUnaskable
from pgbearer.deciders.keycloak_uma import KeycloakUma
from pgbearer.deciders.line import Line, Poster
from pgbearer.deciders.opa import Opa
from pgbearer.deciders.panel import Panel
from pgbearer.deciders.replies import MAX_REASON, refused, shown, strict_object
from pgbearer.deciders.seat import Seat, SeatStatus
from pgbearer.deciders.values import FIELDS, fill, value_of

__all__ = [
    "FIELDS",
    "MAX_REASON",
    "AuthZen",
    "Decider",
    "DeciderError",
    "DeciderFault",
    "DeciderMisconfigured",
    "KeycloakUma",
    "Line",
    "No",
    "Opa",
    "Opinion",
    "Panel",
    "Poster",
    "Question",
    "QuestionUnaskable",
    "Seat",
    "SeatStatus",
    "Yes",
    "build_decider",
    "build_panel",
    "fill",
    "refused",
    "shown",
    "strict_object",
    "value_of",
]
