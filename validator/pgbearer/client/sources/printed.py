"""A token as a file or a program gives it: alone, or in JSON with its end (RFC 6749 section 5.1)."""

from typing import Annotated

import msgspec

from pgbearer.client.peek import expiry_in
from pgbearer.client.sources.failure import NoTokenError
from pgbearer.client.token import AccessToken, TokenFormatError

__all__ = ["printed_token", "with_end"]

_Seconds = Annotated[float, msgspec.Meta(ge=0, lt=1e11)]


class _Answer(msgspec.Struct):
    """What of the JSON counts; what else is in it is passed over. Never shown: it holds the token."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105  the kind of a token
    expires_in: _Seconds | None = None
    """Seconds from when it was asked for."""
    expires_at: _Seconds | None = None
    """Seconds since the epoch, as ``pgbearer token --json`` prints it."""
    scope: str | None = None


def printed_token(data: bytes, *, where: str, asked: float | None) -> AccessToken:
    """Read a token alone on its line, or a JSON object with ``access_token``.

    Args:
        data: what was given; what is around the token or the object as white space is passed over.
        where: names it in errors.
        asked: seconds since the epoch when it was asked for, from which ``expires_in`` counts; None if nobody knows.

    Raises:
        NoTokenError: there is none. The message repeats nothing of `data`.
    """
    text = data.strip()
    del data  # a traceback that shows locals would show it
    try:
        return _from_json(text, asked) if text.startswith(b"{") else with_end(text.decode("latin-1"))
    except (TokenFormatError, msgspec.ValidationError) as error:
        said = error.what if isinstance(error, TokenFormatError) else str(error)
    except msgspec.DecodeError:
        said = "neither a token nor JSON"
    finally:
        del text
    raise NoTokenError(
        f"there is no token here: {said}", where=where, hint="A token alone, or JSON with access_token, is expected."
    )


def with_end(
    text: str, *, asked: float | None = None, expires_in: float | None = None, scope: str | None = None
) -> AccessToken:
    """The token, with the earliest end that is known: what was said of it, or its own ``exp``.

    Raises:
        TokenFormatError: it cannot be one.
    """
    try:
        token = AccessToken(text, scope=scope)
        said = asked + expires_in if asked is not None and expires_in is not None else None
        ends = [end for end in (said, expiry_in(token)) if end is not None]
        return AccessToken(text, expires_at=min(ends), scope=scope) if ends else token
    finally:
        del text


def _from_json(text: bytes, asked: float | None) -> AccessToken:
    try:
        answer = msgspec.json.decode(text, type=_Answer)
    finally:
        del text
    try:
        if answer.token_type.lower() != "bearer":
            raise TokenFormatError("the token is of another type than Bearer")
        if answer.expires_at is not None:
            return with_end(answer.access_token, asked=0.0, expires_in=answer.expires_at, scope=answer.scope)
        return with_end(answer.access_token, asked=asked, expires_in=answer.expires_in, scope=answer.scope)
    finally:
        del answer
