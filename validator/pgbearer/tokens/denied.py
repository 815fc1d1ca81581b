"""A refused token: the reason for everybody, the detail for the record."""

from pgbearer.errors import PgbearerError
from pgbearer.wire import Reason

__all__ = ["Denied", "printable"]

_DETAIL_CHARACTERS = 300


def printable(text: str) -> str:
    """`text` with all that is not printable written as an escape: controls, bidi marks, lone surrogates, odd spaces.

    What a log shows must be what it says; `str.isprintable` goes by the Unicode categories Cc, Cf, Cs, Co, Cn, Zl, Zp
    and Zs.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class Denied(PgbearerError):  # noqa: N818 - a decision, not an error
    """The token is refused.

    Args:
        reason: of the public list.
        detail: for the record and the log; escaped and shortened here. It may quote a claim, never the token.

    Attributes:
        authentic: True if the issuer's signature had been verified; otherwise what the token says about itself is
            anybody's word, and records must say so.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = printable(detail[:_DETAIL_CHARACTERS])[
            :_DETAIL_CHARACTERS
        ]  # an escape is longer than what it escapes
        self.authentic = False
        super().__init__(f"{reason.value}: {self.detail}", hint=reason.remedy)
