"""Why a decider has no opinion: one error for each thing that is then to be done."""

from pgbearer.errors import PgbearerError

__all__ = ["DeciderError", "DeciderFault", "DeciderMisconfigured", "QuestionUnaskable"]


class DeciderError(PgbearerError):
    """A question without an opinion. `what` is safe to log: no token, no credential, no text but an error code."""


class DeciderFault(DeciderError):  # noqa: N818 - a state of the world, named for what is said about it
    """The decider could not be asked, or what it answered is none.

    Args:
        what: as for `PgbearerError`.
        where: its address, without a query.
        connecting: whether no part of the question had been sent: then it cannot have been the question that did it.
    """

    exit_code = 3

    def __init__(self, what: str, *, where: str | None = None, connecting: bool = False) -> None:
        self.connecting = connecting
        super().__init__(what, where=where)


class DeciderMisconfigured(DeciderError):  # noqa: N818 - likewise
    """The decider answers, but does not do what it is asked: wrong address, or our own credentials are refused."""

    exit_code = 2


class QuestionUnaskable(DeciderError):  # noqa: N818 - likewise
    """A value of the login cannot be part of the question (POLICY: `name_not_expressible`)."""
