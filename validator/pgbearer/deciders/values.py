"""What of a login can be put into a question: fields for templates, and which values may stand in a name."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from pgbearer.config import Template
from pgbearer.deciders.decider import Question
from pgbearer.deciders.document import Json, asked, plain
from pgbearer.deciders.fault import QuestionUnaskable
from pgbearer.policy import FIELDS as CONDITIONS
from pgbearer.policy import expressible
from pgbearer.verified import ClaimValue

__all__ = ["FIELDS", "fill", "value_of"]

FIELDS: Final[Mapping[str, Callable[[Question], ClaimValue | None]]] = {
    "sub": lambda question: question.verified.subject,
    "identity": lambda question: question.verified.identity,
    "client": lambda question: question.verified.client,
    "issuer": lambda question: question.verified.issuer,
    "server": lambda question: question.server,
    "database": lambda question: question.request.database,
    "role": lambda question: question.request.role,
    "replication": lambda question: question.request.replication.value,
}
"""What templates may hold beside the names that conditions have, and the claims that issuers declare."""


def value_of(field: str, question: Question) -> Json | None:
    """The value of a field, of a name that conditions have (``token.roles``), or of a declared claim.

    None if the token lacks it. For members of JSON, where any value will do.
    """
    value: ClaimValue | list[str] | datetime | None
    if own := FIELDS.get(field):
        value = own(question)
    elif known := CONDITIONS.get(field):
        value = known.value(asked(question))
    else:
        value = question.verified.claims.get(field)
    return None if value is None else plain(value)


def fill(template: Template, question: Question) -> str:
    """A name (a permission, a resource id) with what the login says in place of its fields.

    Each value must fit ``^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,62}$``, so that none can be more than a part of one name: no
    ``#`` or ``,``, which Keycloak splits permissions at, no ``resource-type:``, no quote, newline or look-alike.

    Raises:
        QuestionUnaskable: a value is absent, is no text, or does not fit; the message names the field, not the value.
    """

    def substitute(field: str) -> str:
        value = value_of(field, question)
        if not isinstance(value, str):
            raise QuestionUnaskable(f"the login has no {field!r} for the question")
        if not expressible(value):
            raise QuestionUnaskable(f"the login's {field!r} cannot be part of a question")
        return value

    return template.render(substitute)
