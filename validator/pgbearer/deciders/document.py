"""One login as a JSON document: what OPA gets as its input, with the names that conditions have.

``request.database`` in a rule's ``when`` is ``input.request.database`` in Rego; docs/conditions.md lists them all.
"""

from datetime import datetime
from typing import Any, Final

from pgbearer.deciders.decider import Question
from pgbearer.policy import FIELDS, Asked
from pgbearer.verified import ClaimValue

__all__ = ["VERSION", "Json", "asked", "document", "plain"]

VERSION: Final = 1
"""Of the document. Members may be added; none changes its meaning or type without another number."""

Json = str | int | bool | list[str]
"""A member that is no section."""


def document(question: Question) -> dict[str, Any]:
    """The whole document: ``version``, ``id`` (of the decision), ``request``, ``token`` and ``claims``.

    Moments are seconds since the epoch. A declared claim that the token lacks is not there; every other member is.
    """
    login = asked(question)
    whole: dict[str, Any] = {"version": VERSION, "id": question.decision_id}
    for name, field in FIELDS.items():
        *sections, last = name.split(".")
        here = whole
        for section in sections:
            here = here.setdefault(section, {})
        here[last] = plain(field.value(login))
    whole["claims"] = {name: plain(value) for name, value in question.verified.claims.items()}
    return whole


def asked(question: Question) -> Asked:
    """The login that a question is about, as conditions see it."""
    return Asked(verified=question.verified, request=question.request, server=question.server, now=question.now)


def plain(value: ClaimValue | list[str] | datetime) -> Json:
    """A value as JSON has it: lists for tuples, seconds since the epoch for moments."""
    if isinstance(value, datetime):
        return int(value.timestamp())
    return list(value) if isinstance(value, tuple) else value
