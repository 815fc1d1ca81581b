"""What deciders answer: read strictly, and put into words that are safe to log."""

import re
from collections.abc import Mapping
from typing import Final

from pgbearer.deciders.fault import DeciderError, DeciderFault, DeciderMisconfigured
from pgbearer.http import Reply
from pgbearer.tokens.strict_json import NotStrictJsonError, parse_object

__all__ = ["MAX_REASON", "refused", "shown", "strict_object"]

MAX_REASON: Final = 200
"""Characters of a decider's reason that are kept."""
_CODE: Final = re.compile(r"[a-z]+(_[a-z]+){1,4}")
"""Such as ``invalid_client``; no token looks like that."""


def strict_object(reply: Reply) -> Mapping[str, object]:
    """The JSON object that a reply holds: declared as JSON, and with one meaning for every parser.

    Raises:
        DeciderFault: it holds anything else.
    """
    if not reply.is_json:
        raise DeciderFault(f"answered {reply.status} with something that is not JSON")
    try:
        return parse_object(reply.body)
    except NotStrictJsonError as error:
        raise DeciderFault(f"answered {reply.status} with JSON that cannot be read: {error}") from None


def refused(reply: Reply, error: str | None = None, *, by: str | None = None, where: str | None = None) -> DeciderError:
    """The error for a status that is no documented answer of a decider's protocol; to be raised.

    Args:
        reply: its status counts.
        error: what the answer gives as its error; said where it is a code of OAuth's (RFC 6749, section 5.2), which can
            hold nothing of the question.
        by: who answered, if not the decider itself.
        where: the address that was asked.
    """
    code = f" ({error})" if error is not None and _CODE.fullmatch(error) else ""
    what = f"{by} answered {reply.status}{code}" if by else f"answered {reply.status}{code}"
    return (DeciderMisconfigured if 400 <= reply.status < 500 else DeciderFault)(what, where=where)


def shown(text: object) -> str | None:
    """A reason in a decider's words as it may be logged: at most `MAX_REASON` characters, what does not print escaped.

    None for anything but text, and for text without a character.
    """
    if not isinstance(text, str) or not text.strip():
        return None
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text.strip())
    return escaped if len(escaped) <= MAX_REASON else f"{escaped[: MAX_REASON - 4]} ..."
