"""Claims by their types: what is read from a payload is exactly what was asked for, or the token is refused."""

import re
from collections.abc import Mapping
from typing import Final

from pgbearer.config.settings import ClaimType
from pgbearer.tokens.denied import Denied
from pgbearer.verified import ClaimValue
from pgbearer.wire import Reason

__all__ = ["declared_claims", "names_at", "scope_tokens", "string_list_at", "strings"]

_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")
"""RFC 6749 section 3.3."""
_NOTHING: Final = object()
_INT64: Final = range(-(2**63), 2**63)
"""What SQL's bigint and CEL's int hold."""


def strings(value: object, name: str) -> tuple[str, ...]:
    """A list of strings, none with a NUL, which PostgreSQL cannot hold.

    Raises:
        Denied: claim_type.
    """
    if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
        raise _wrong(name, "a list of strings")
    return tuple(value)


def string_list_at(payload: Mapping[str, object], path: tuple[str, ...]) -> frozenset[str]:
    """The strings in the list at `path`; none if the path leads nowhere.

    Raises:
        Denied: claim_type, if the path leads through or to something else.
    """
    here = _at(payload, path)
    return frozenset() if here is _NOTHING else frozenset(strings(here, ".".join(path)))


def names_at(payload: Mapping[str, object], path: tuple[str, ...]) -> frozenset[str]:
    """The names at `path`: strings in a list, keys of an object, or a single string; none if the path leads nowhere.

    Keycloak writes ``organization`` in all three ways, depending on what its mapper is told to add.

    Raises:
        Denied: claim_type, if the path leads through or to something else.
    """
    match _at(payload, path):
        case str(name):
            return frozenset(strings([name], ".".join(path)))
        case Mapping() as named:
            return frozenset(strings(list(named), ".".join(path)))
        case here:
            return frozenset() if here is _NOTHING else frozenset(strings(here, ".".join(path)))


def _at(payload: Mapping[str, object], path: tuple[str, ...]) -> object:
    """What is at `path`, or `_NOTHING`."""
    here: object = payload
    for step in path:
        if not isinstance(here, Mapping):
            raise _wrong(".".join(path), "an object all along the path")
        if step not in here:
            return _NOTHING
        here = here[step]
    return here


def scope_tokens(payload: Mapping[str, object], name: str = "scope") -> frozenset[str]:
    """The scopes in the claim of this name, none if it is absent or empty.

    ``scope`` is a string, separated by single spaces (RFC 8693 section 4.2); ``scp`` is that at Entra, at Okta a list.

    Raises:
        Denied: claim_type.
    """
    scope = payload.get(name, "")
    if name == "scp" and isinstance(scope, list):
        if all(isinstance(one, str) and " " not in one and _SCOPE.fullmatch(one) for one in scope):
            return frozenset(scope)
        raise _wrong(name, "a list of scopes")
    if scope == "":
        return frozenset()
    if not isinstance(scope, str) or not _SCOPE.fullmatch(scope):
        raise _wrong(name, "a list of scopes, separated by single spaces")
    return frozenset(scope.split(" "))


def declared_claims(payload: Mapping[str, object], types: Mapping[str, ClaimType]) -> dict[str, ClaimValue]:
    """The claims in `types` that the payload has, each of its type; the others are absent.

    Raises:
        Denied: claim_type. Null is a wrong type, not an absence: whoever wrote it meant something we cannot know.
    """
    return {name: _typed(payload[name], name, kind) for name, kind in types.items() if name in payload}


def _typed(value: object, name: str, kind: ClaimType) -> ClaimValue:
    match kind, value:
        case "string", str() if "\0" not in value:
            return value
        case "bool", bool():
            return value
        case "int", int() if not isinstance(value, bool) and value in _INT64:
            return value
        case "string_list", _:
            return strings(value, name)
        case _:
            raise _wrong(name, kind)


def _wrong(name: str, expected: str) -> Denied:
    return Denied(Reason.CLAIM_TYPE, f"claim {name!r} is not {expected}")
