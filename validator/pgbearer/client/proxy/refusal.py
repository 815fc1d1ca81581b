"""What a client of the proxy is told when it cannot go on: an ErrorResponse with an SQLSTATE, as a server sends it."""

from collections.abc import Mapping
from typing import Final

from pgbearer.client.plain import plain
from pgbearer.client.proxy.messages import message
from pgbearer.errors import PgbearerError, UnreachableError

__all__ = [
    "CANNOT_CONNECT_NOW",
    "CONNECTION_FAILURE",
    "INVALID_AUTHORIZATION",
    "TERMINATED",
    "TOO_MANY",
    "RefusedError",
    "amended",
    "fatal",
    "fields_of",
    "refusal_of",
]

INVALID_AUTHORIZATION: Final = "28000"
CONNECTION_FAILURE: Final = "08006"
CANNOT_CONNECT_NOW: Final = "57P03"
TERMINATED: Final = "57P01"
TOO_MANY: Final = "53300"

_MAX_TEXT: Final = 2_000  # characters of one field


class RefusedError(PgbearerError):
    """The proxy does not take this client on.

    Args:
        sqlstate: five characters of PostgreSQL's appendix A.
        what: as for `PgbearerError`; with `hint` it is what the client is shown.
    """

    def __init__(self, sqlstate: str, what: str, *, hint: str | None = None) -> None:
        self.sqlstate = sqlstate
        super().__init__(what, hint=hint)


def fatal(sqlstate: str, text: str, *, detail: str | None = None, hint: str | None = None) -> bytes:
    """An ErrorResponse of severity FATAL, whose texts cannot carry control characters into a terminal."""
    fields = {"S": "FATAL", "V": "FATAL", "C": sqlstate, "M": text, "D": detail, "H": hint}
    return message(b"E", _encode({key: _lines(value) for key, value in fields.items() if value}))


def refusal_of(error: PgbearerError) -> bytes:
    """The ErrorResponse for an error of ours: what happened is the message, where it did the detail."""
    if isinstance(error, RefusedError):
        sqlstate = error.sqlstate
    else:
        sqlstate = CONNECTION_FAILURE if isinstance(error, UnreachableError) else INVALID_AUTHORIZATION
    return fatal(sqlstate, f"pgbearer: {error.what}", detail=error.where, hint=error.hint)


def fields_of(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse by their letter, text as UTF-8; what is malformed is left out."""
    parts = body.partition(b"\0\0")[0].split(b"\0")
    return {chr(part[0]): part[1:].decode(errors="replace") for part in parts if part}


def amended(body: bytes, *, hint: str) -> bytes:
    """A server's ErrorResponse with what only this side knows as its hint, unless it has one; all else stays."""
    fields = fields_of(body)
    if "H" in fields or not fields:
        return message(b"E", body)
    return message(b"E", body.partition(b"\0\0")[0] + b"\0H" + _lines(hint).encode() + b"\0\0")


def _encode(fields: Mapping[str, str]) -> bytes:
    return b"".join(f"{key}{value}\0".encode() for key, value in fields.items()) + b"\0"


def _lines(text: str) -> str:
    """`plain`, but for line breaks, of which our own hints have some."""
    return "\n".join(plain(line, limit=_MAX_TEXT) for line in text.split("\n"))
