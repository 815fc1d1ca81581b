"""Commands on the admin socket: from a body to one that is whole, or a refusal that says what is wrong."""

import re
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pgbearer.config.settings import Section

__all__ = ["RefusedCommandError", "decode_command"]

_Command = TypeVar("_Command", bound=Section)


class RefusedCommandError(ValueError):
    """The command cannot be obeyed.

    Args:
        what: why, for people.
        status: that of HTTP.
        problems: each thing that is wrong, where there can be many.
    """

    def __init__(self, what: str, status: int = 400, problems: tuple[str, ...] = ()) -> None:
        super().__init__(what)
        self.status = status
        self.problems = problems


def decode_command(model: type[_Command], body: bytes) -> _Command:
    """The command in a request's body; nothing at all is one without members.

    Raises:
        RefusedCommandError: it is none.
    """
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, one['loc'])) or 'body'}: {_said(one)}" for one in error.errors())
        raise RefusedCommandError("; ".join(faults)) from None


def _said(fault: ErrorDetails) -> str:
    """In the words that a file of settings would be judged with, without pydantic's own."""
    return re.sub(r"^\w+ should", "must", fault["msg"].removeprefix("Value error, "))
