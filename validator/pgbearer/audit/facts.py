"""What a decision was made from, beside what its record says anyway: enough to make it again, and nothing more.

`explain` and `policy diff` ask the policy the same question again, from the service's memory or from an audit line.
Of a token only what policies can look at is kept, and only once every check has passed: roles, groups, scopes, the
claims that the issuer declares, and its times. Never the token, its signature, its ``jti`` or its ``sid``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from pgbearer.verified import Actor, Verified
from pgbearer.wire import Hba, RoleAttributes, Tls

__all__ = ["Facts"]

_NOT_AGAIN: Final = frozenset({"issuer", "identity", "display", "token_ref"})
"""Fields of `Verified` that the record itself has."""
_NEVER: Final = frozenset({"token_id", "session_id"})
"""Fields of `Verified` that name one token or session and that no rule can look at."""
_OF_THE_TOKEN: Final = tuple(sorted(Verified.__dataclass_fields__.keys() - _NOT_AGAIN - _NEVER))
_SCALARS: Final = frozenset({str, int, bool, type(None)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was asked and who asked, as far as the record has no member of its own for it."""

    skew: int
    """How far the database server's clock was from ours, milliseconds."""
    hba: Hba
    role_attributes: RoleAttributes
    tls: Tls | None
    in_recovery: bool
    token: Verified | None
    """None if the token was refused, or not looked at."""
    keys_age: float | None = None
    """Seconds since the issuer's keys were last fetched; None if that was not asked."""

    def entry(self) -> dict[str, Any]:
        """The facts as members of an audit line. What many decisions share is one object, not to be changed."""
        return {
            "skew_ms": self.skew,
            "hba": _shared_members(self.hba),
            "role_attributes": _shared_members(self.role_attributes),
            "tls": self.tls and _shared_members(self.tls),
            "in_recovery": self.in_recovery,
            "keys_age": None if self.keys_age is None else round(self.keys_age, 3),
            "token": self.token and _members(_OF_THE_TOKEN, _values_of_the_token(self.token)),
        }


_values_of_the_token = attrgetter(*_OF_THE_TOKEN)


def _members(names: Iterable[str], values: Iterable[Any]) -> dict[str, Any]:
    return {
        name: value if type(value) in _SCALARS else _plain(value) for name, value in zip(names, values, strict=True)
    }


@lru_cache(maxsize=256)
def _shared_members(value: Hba | RoleAttributes | Tls) -> dict[str, Any]:
    names = tuple(value.__dataclass_fields__)
    return _members(names, (getattr(value, name) for name in names))


def _plain(value: Any) -> Any:
    match value:
        case frozenset():
            return _sorted(value)
        case Actor():
            return _members(value.__dataclass_fields__, (getattr(value, name) for name in value.__dataclass_fields__))
        case tuple():
            return list(value)
        case Mapping():
            return {name: _plain(one) for name, one in value.items()}
        case _:
            return value


@lru_cache(maxsize=1024)
def _sorted(values: frozenset[str]) -> list[str]:
    return sorted(values)
