"""What an authorization server answered: a JSON object and its members, or an OAuth error."""

import json
from collections.abc import Mapping
from typing import Any, Final

from pgbearer.client.login.refusal import COMMON, LoginRefusedError, Refusals
from pgbearer.client.secret import Secret
from pgbearer.errors import PgbearerError, UnreachableError
from pgbearer.http import Reply

__all__ = ["JsonObject", "MetadataError", "json_object", "refusal_in", "seconds_in", "secret_in", "text_in"]

_MOST_SECONDS: Final = 1e9
_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERRORS: Final = 500


class MetadataError(UnreachableError):
    """The issuer answered, but not with something that a client may act on."""


class JsonObject(dict[str, Any]):
    """A JSON object that an issuer sent. It may hold a token or a code, so its repr has the names only."""

    def __repr__(self) -> str:
        return f"<JSON object of {sorted(self)}>"


def json_object(reply: Reply, where: str) -> JsonObject:
    """The reply's body as a JSON object.

    Raises:
        MetadataError: it is none. The body is not repeated: it may hold a token.
    """
    try:
        value = json.loads(reply.body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise MetadataError(f"answered {reply.status} with something that is not a JSON object", where=where)
    return JsonObject(value)


def refusal_in(reply: Reply, where: str, words: Refusals = COMMON) -> PgbearerError:
    """The error that a reply other than 200 means (RFC 6749 section 5.2), to be raised by the caller.

    Args:
        reply: the server's; what it says of itself is escaped.
        where: the endpoint that was asked.
        words: what an error code means to who asked this.

    Returns:
        A `LoginRefusedError` if the server said no; a `MetadataError` if it said nothing: too many requests, a fault of
        its own, no error code. Only after the first is it of no use to ask again.
    """
    if reply.status == _TOO_MANY_REQUESTS or reply.status >= _SERVER_ERRORS:
        return MetadataError(f"answered {reply.status}: it cannot say now", where=where)
    answer = json_object(reply, where)
    error, description = answer.get("error"), answer.get("error_description")
    if not isinstance(error, str) or not error:
        return MetadataError(f"answered {reply.status} without an OAuth error code", where=where)
    said = description if isinstance(description, str) else None
    return LoginRefusedError(error, where=where, description=said, words=words)


def text_in(answer: Mapping[str, Any], name: str, where: str) -> str:
    """The member `name`, a text that is not empty and has no half of a character (JSON can escape those).

    Raises:
        MetadataError: it is none.
    """
    value = answer.get(name)
    if not isinstance(value, str) or not value or any("\ud800" <= character <= "\udfff" for character in value):
        raise MetadataError(f"answered without {name}, or with one that is not text", where=where)
    return value


def secret_in(answer: Mapping[str, Any], name: str, where: str) -> Secret | None:
    """The member `name`, a text that must not be seen; None if there is none.

    Raises:
        MetadataError: it is there, and not text that a `Secret` takes.
    """
    if answer.get(name) is None:
        return None
    try:
        return Secret(text_in(answer, name, where))
    except ValueError as error:
        raise MetadataError(f"answered with a {name} that is {error}", where=where) from error


def seconds_in(answer: Mapping[str, Any], name: str, where: str, *, default: float | None = None) -> float:
    """The member `name`, a number of seconds from 0 to 1e9; `default`, if given, where there is none.

    Raises:
        MetadataError: it is none.
    """
    value = answer.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MOST_SECONDS:
        raise MetadataError(f"answered without {name}, or with one that is not a number of seconds", where=where)
    return float(value)
