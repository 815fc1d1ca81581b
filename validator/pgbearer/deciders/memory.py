"""What a decider said before: answers that may be used again, and the last yes for when it cannot be asked.

Its keys hold everything that is asked: the token's verified claims, and what of the request does not change from login
to login. What is new in either is in the keys by itself. Only the time of day is not in them, nor, for the last yes,
what differs between tokens of one session.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any, Final

from pgbearer.deciders.decider import No, Opinion, Question, Yes
from pgbearer.tokens import Revocations
from pgbearer.tokens.steady import steady_seconds
from pgbearer.verified import Verified

__all__ = ["MOST_OF_ONE", "MOST_REMEMBERED", "Keys", "Memory", "keys_of"]

MOST_REMEMBERED: Final = 10_000
"""Questions whose answers are remembered, each way; the least recently answered go first."""
MOST_OF_ONE: Final = 64
"""Of them about one identity: asking under ever other names for the application has nobody else's answer forgotten."""

_NEVER_ASKED: Final[Mapping[str, frozenset[str]]] = {
    "Verified": frozenset({"token_id", "token_ref", "key_id"}),
    "AccessRequest": frozenset({"request_id", "now", "backend"}),
    "Client": frozenset({"port"}),
    "ServerInfo": frozenset({"start"}),
}
"""Members that differ from login to login, and that no decider is told."""
_OF_ONE_TOKEN: Final = frozenset({"issued_at", "expires_at"})


@dataclass(frozen=True, slots=True)
class Keys:
    """What a question's answer is remembered under: for being used again, and as the last yes."""

    answer: bytes
    last_yes: bytes


@dataclass(frozen=True, slots=True)
class _Known:
    opinion: Opinion
    verified: Verified
    at: float


class _Shelf:
    """Answers by key, bounded in all and for each identity; the oldest go first."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._of_one: dict[str, OrderedDict[bytes, None]] = {}

    def get(self, key: bytes) -> _Known | None:
        return self._known.get(key)

    def items(self) -> Iterable[tuple[bytes, _Known]]:
        return self._known.items()

    def put(self, key: bytes, known: _Known) -> None:
        self.drop(key)
        self._known[key] = known
        own = self._of_one.setdefault(known.verified.identity, OrderedDict())
        own[key] = None
        if len(own) > MOST_OF_ONE:
            self.drop(next(iter(own)))
        elif len(self._known) > MOST_REMEMBERED:
            self.drop(next(iter(self._known)))

    def drop(self, key: bytes) -> None:
        known = self._known.pop(key, None)
        if known is not None:
            own = self._of_one[known.verified.identity]
            del own[key]
            if not own:
                del self._of_one[known.verified.identity]


class Memory:
    """One decider's answers. Of one generation of the settings: a reload begins with none. For one event loop.

    Args:
        seconds: how long an answer may be used again; 0: not at all.
        last_yes_seconds: how long a yes is kept for when the decider cannot be asked; 0: not at all.
        steady: a clock that nobody can set, in seconds.
    """

    def __init__(
        self, *, seconds: float, last_yes_seconds: float, steady: Callable[[], float] = steady_seconds
    ) -> None:
        self._seconds = seconds
        self._last_yes_seconds = last_yes_seconds
        self._steady = steady
        self._answers = _Shelf()
        self._yes = _Shelf()
        self._noes: OrderedDict[bytes, int] = OrderedDict()
        self._ended = 0
        self.epoch = 0
        """Goes up with every no and every revocation. A yes to a question that was asked before a no to the same one
        came, or before a revocation, is not remembered."""

    def keys_of(self, question: Question) -> Keys | None:
        """What its answer is remembered under; None if nothing is ever remembered."""
        answer, last_yes = self._seconds > 0, self._last_yes_seconds > 0
        return keys_of(question, answer=answer, last_yes=last_yes) if answer or last_yes else None

    def recall(self, keys: Keys) -> Opinion | None:
        """An answer that may be used again."""
        known = self._answers.get(keys.answer)
        if known is None:
            return None
        if self._steady() < known.at + self._seconds:
            return known.opinion
        self._answers.drop(keys.answer)
        return None

    def last_yes_age(self, keys: Keys) -> float | None:
        """Seconds since the decider said yes to this question; None if it did not, or has said no since."""
        known = self._yes.get(keys.last_yes)
        if known is None:
            return None
        age = self._steady() - known.at
        return age if age <= self._last_yes_seconds else None

    def remember(self, keys: Keys, question: Question, opinion: Opinion, *, epoch: int) -> None:
        """Keep what was said.

        Args:
            keys: `keys_of` the question.
            question: that was asked.
            opinion: that came.
            epoch: what `epoch` was when it was asked.
        """
        if isinstance(opinion, Yes) and epoch < self._latest_no(keys):
            return
        self._yes.drop(keys.last_yes)
        self._answers.drop(keys.answer)
        if isinstance(opinion, No):
            self._note_no(keys)
        if epoch < self._ended:
            return
        known = _Known(opinion, question.verified, self._steady())
        if self._seconds > 0:
            self._answers.put(keys.answer, known)
        if self._last_yes_seconds > 0 and isinstance(opinion, Yes):
            self._yes.put(keys.last_yes, known)

    def forget_revoked(self, revocations: Revocations, now: float) -> None:
        """Forget what was said about tokens that these revoke.

        Args:
            revocations: those that are new.
            now: epoch seconds.
        """
        self.epoch += 1
        self._ended = self.epoch
        for shelf in (self._answers, self._yes):
            for key in [key for key, known in shelf.items() if revocations.of(known.verified, now)]:
                shelf.drop(key)

    def _latest_no(self, keys: Keys) -> int:
        """The epoch of the last no to this question; 0 if there was none that matters."""
        return max(self._noes.get(key, 0) for key in (keys.answer, keys.last_yes))

    def _note_no(self, keys: Keys) -> None:
        self.epoch += 1
        for key in filter(None, (keys.answer, keys.last_yes)):
            self._noes[key] = self.epoch
            self._noes.move_to_end(key)
        while len(self._noes) > MOST_REMEMBERED:  # whose no is not known any more, cannot have a late yes remembered
            self._ended = max(self._ended, self._noes.popitem(last=False)[1])


def keys_of(question: Question, *, answer: bool = True, last_yes: bool = True) -> Keys:
    """Digests of everything that is asked: canonical request, and who asks in which session and how.

    Args:
        question: as it is asked.
        answer: whether the one key is wanted; empty if not.
        last_yes: whether the other is.
    """
    verified = _plain(question.verified)
    place = [question.server, _plain(question.request)]
    session = {name: value for name, value in verified.items() if name not in _OF_ONE_TOKEN}
    return Keys(_digest([place, verified]) if answer else b"", _digest([place, session]) if last_yes else b"")


def _digest(asked: Any) -> bytes:
    return hashlib.sha256(json.dumps(asked, sort_keys=True, ensure_ascii=True).encode()).digest()


def _plain(value: Any) -> Any:
    """As JSON can hold it, with one form for equal values; a type that is not foreseen is an error, not left out."""
    if is_dataclass(value):
        left_out = _NEVER_ASKED.get(type(value).__name__, frozenset())
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value) if one.name not in left_out}
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case tuple() | list():
            return [_plain(one) for one in value]
        case frozenset() | set():
            return {"set": sorted(_plain(one) for one in value)}
        case Mapping():
            return {str(name): _plain(one) for name, one in value.items()}
    raise TypeError(f"{type(value).__name__} in a question")
