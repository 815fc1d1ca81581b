"""Commands on the admin socket: from a body to one that is whole, or a refusal that says what is wrong."""

from typing import TypeVar

from pydantic import ValidationError

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
        faults = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in error.errors())
        raise RefusedCommandError(faults) from None
