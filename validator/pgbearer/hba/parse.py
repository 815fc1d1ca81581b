"""The text of pg_hba.conf to lines, and every problem in it (parse_hba_line of src/backend/libpq/hba.c).

A file that is wrong in one line is not used at all: PostgreSQL keeps what it had, and says so in its log alone. What
only the server can know is left to it: the files that others include, names of hosts, and the whole of a regular
expression, of which the brackets are counted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pgbearer.hba.address import AddressError, read_address, read_mask
from pgbearer.hba.line import KEYWORD_ADDRESSES, Field, Line
from pgbearer.hba.options import METHODS, needed, refused
from pgbearer.hba.tokens import fields, logical_lines

__all__ = ["MAX_LINES", "MAX_TEXT", "Parsed", "Wrong", "parse"]

MAX_TEXT: Final = 1024 * 1024
"""Characters of a text; one that is longer is not read."""
MAX_LINES: Final = 10_000
"""Lines of a text, for the same reason."""

_TYPES: Final = frozenset({"local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"})
_INCLUDES: Final = frozenset({"include", "include_dir", "include_if_exists"})


@dataclass(frozen=True, slots=True)
class Wrong:
    """A line that the server refuses, and with it the whole file. `message` is in the server's words if it can be."""

    number: int
    message: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """The lines that are taken, in their order; those that are not; and the numbers of those that lead elsewhere."""

    lines: tuple[Line, ...]
    wrong: tuple[Wrong, ...]
    includes: tuple[int, ...]


class _RefusedError(Exception):
    """The server does not take the line."""


def parse(text: str, libraries: Sequence[str] | None = None) -> Parsed:
    """Read a text as the server reads its file. Never raises for what the text holds. Pure; no file, no network.

    Args:
        text: of pg_hba.conf, or of some of its lines.
        libraries: what oauth_validator_libraries lists; None leaves unsaid which validators may be named.
    """
    if len(text) > MAX_TEXT or text.count("\n") >= MAX_LINES:
        return Parsed((), (Wrong(1, f"too long: more than {MAX_TEXT} characters or {MAX_LINES} lines"),), ())
    lines: list[Line] = []
    wrong: list[Wrong] = []
    includes: list[int] = []
    for number, words in logical_lines(text):
        found = fields(words)
        if not found:
            continue
        if _leads_elsewhere(found):
            includes.append(number)
            continue
        try:
            lines.append(_line(number, found, libraries))
        except (_RefusedError, AddressError) as error:
            wrong.append(Wrong(number, str(error)))
    return Parsed(tuple(lines), tuple(wrong), tuple(includes))


def _leads_elsewhere(found: Sequence[Field]) -> bool:
    if len(found) == 2 and found[0][0].text in _INCLUDES:
        return True
    return any(not token.quoted and len(token.text) > 1 and token.text[0] == "@" for each in found for token in each)


def _line(number: int, found: Sequence[Field], libraries: Sequence[str] | None) -> Line:
    rest = iter(found)
    kind = _one(rest, "connection type", "connection type")
    if kind not in _TYPES:
        raise _RefusedError(f'invalid connection type "{kind}"')
    databases = _names(rest, "database specification")
    users = _names(rest, "role specification")
    address, netmask, keyword = _address(rest) if kind != "local" else (None, None, False)
    method = _method(_one(rest, "authentication method", "authentication type"), kind)
    return Line(
        number=number,
        type=kind,
        databases=databases,
        users=users,
        address=address,
        address_is_keyword=keyword,
        netmask=netmask,
        method=method,
        options=_options(rest, kind, method, libraries),
    )


def _next(rest: Iterator[Field], what: str) -> Field:
    found = next(rest, None)
    if found is None:
        raise _RefusedError(f"end-of-line before {what}")
    return found


def _one(rest: Iterator[Field], what: str, called: str) -> str:
    found = _next(rest, what)
    if len(found) > 1:
        raise _RefusedError(f"multiple values specified for {called}")
    return found[0].text


def _names(rest: Iterator[Field], what: str) -> Field:
    found = _next(rest, what)
    for token in found:
        if token.text.startswith("/") and not _balanced(token.text[1:]):
            raise _RefusedError(f'invalid regular expression "{token.text[1:]}"')
    return found


def _address(rest: Iterator[Field]) -> tuple[str, str | None, bool]:
    found = _next(rest, "IP address specification")
    if len(found) > 1:
        raise _RefusedError("multiple values specified for host address")
    if any(found[0].is_keyword(word) for word in KEYWORD_ADDRESSES):
        return found[0].text, None, True
    address, netmask, mask_follows = read_address(found[0].text)
    if mask_follows:
        netmask = read_mask(_one(rest, "netmask specification", "netmask"), address)
    return address, netmask, False


def _method(method: str, kind: str) -> str:
    if method not in METHODS:
        raise _RefusedError(f'invalid authentication method "{method}"')
    if kind == "local" and method == "ident":
        return "peer"
    if kind == "local" and method == "gss":
        raise _RefusedError("gssapi authentication is not supported on local sockets")
    if kind != "local" and method == "peer":
        raise _RefusedError("peer authentication is only supported on local sockets")
    if kind != "hostssl" and method == "cert":
        raise _RefusedError("cert authentication is only supported on hostssl connections")
    if method in ("sspi", "bsd"):
        raise _RefusedError(f'invalid authentication method "{method}": not supported by this build')
    return method


def _options(rest: Iterator[Field], kind: str, method: str, libraries: Sequence[str] | None) -> dict[str, str]:
    options: dict[str, str] = {}
    for token in (token for found in rest for token in found):
        name, equals, value = token.text.partition("=")
        if not equals:
            raise _RefusedError(f"authentication option not in name=value format: {token.text}")
        if said := refused(name, value, line_type=kind, method=method):
            raise _RefusedError(said)
        options[name] = value
    if said := needed(method, options, libraries):
        raise _RefusedError(said)
    return options


def _balanced(expression: str) -> bool:
    """Whether brackets close and no backslash stands last: what is likeliest to be wrong in a regular expression."""
    depth, place = 0, 0
    while place < len(expression):
        letter = expression[place]
        if letter == "\\":
            place += 1
            if place == len(expression):
                return False
        elif letter == "[":
            begin = place + 1 + expression.startswith("^", place + 1)
            place = expression.find("]", begin + 1)  # the first one may itself be "]"
            if place < 0:
                return False
        elif letter in "()":
            depth += 1 if letter == "(" else -1
            if depth < 0:
                return False
        place += 1
    return depth == 0
