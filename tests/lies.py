"""What the lying service can be told to say, as values for tables."""

import json
from collections.abc import Callable
from typing import Any

from tests.lying_service import LyingService

__all__ = ["Lie", "changed", "doubled", "head", "raw", "raw_json", "status", "with_text", "without"]

Lie = Callable[[LyingService], None]


def changed(**members: Any) -> Lie:
    """An allowing answer, some of whose members are replaced."""
    return lambda liar: liar.allow(**members)


def raw_json(text: str) -> Lie:
    """`text` as the body."""
    return lambda liar: liar.say(text)


def with_text(text: str) -> Lie:
    """An allowing answer that begins with the members `text`."""
    return lambda liar: liar.say(lambda answer: "{" + text + "," + json.dumps(answer)[1:])


def without(member: str) -> Lie:
    """An allowing answer that lacks `member`."""
    return lambda liar: liar.leave_out(member)


def doubled(member: str) -> Lie:
    """An allowing answer with `member` twice."""
    return lambda liar: liar.twice(member)


def head(**headers: str) -> Lie:
    """An allowing answer under other headers."""
    return lambda liar: liar.say(json.dumps, **headers)


def raw(data: bytes) -> Lie:
    """`data` and no HTTP but it."""
    return lambda liar: liar.raw(data)


def status(code: int) -> Lie:
    """Another status."""
    return lambda liar: liar.status(code)
